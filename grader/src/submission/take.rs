//! Takes the sources out of a folder or an archive. All limits are applied before and while something is read.

use std::collections::BTreeMap;

use super::Submission;
use super::archive::Archive;
use super::files::{Entry, Files, MOST_ARCHIVE, MOST_BYTES};
use super::place::{Place, is_lib, loose_place, place};
use crate::class::attempt;
use crate::course::task::Task;
use crate::printable::line;

/// The most source files of one task, and the most bytes of all of them together.
pub const MOST_FILES: usize = 64;
const MOST_OF_TASK: u64 = 4 << 20;
/// So many notes are kept, and so many names of what arrived.
const MOST_NOTES: usize = 40;
const MOST_ARRIVED: usize = 20;
/// So many archives may lie in each other.
const DEEPEST: usize = 3;
/// The longest name of a file or a folder that is taken, in bytes.
const LONGEST_NAME: usize = 200;

/// A file that may be taken.
struct Candidate {
    path: String,
    place: Place,
}

/// Takes what belongs to the tasks. Where only one of them is `wanted`, a lone `lib.rs` is its.
pub fn take(files: &mut dyn Files, wanted: &[Task]) -> Submission {
    let mut submission = Submission::default();
    take_from(files, wanted, &mut submission, 0);
    if submission.notes.len() > MOST_NOTES {
        let more = submission.notes.len() - MOST_NOTES;
        submission.notes.truncate(MOST_NOTES);
        submission.notes.push(format!("and {more} more notes"));
    }
    submission
}

fn take_from(files: &mut dyn Files, wanted: &[Task], submission: &mut Submission, depth: usize) {
    let (entries, notes) = files.list();
    submission.notes.extend(notes);
    let arrived = entries.iter().map(|entry| line(&entry.path, 100));
    submission.arrived.extend(arrived.take(MOST_ARRIVED));
    let (candidates, how) = candidates(&entries, wanted);
    if candidates.is_empty() {
        return open_inner(files, &entries, wanted, submission, depth);
    }
    submission.notes.extend(how);
    for entry in &entries {
        if let Some(why) = &entry.refused
            && (place(&entry.path).is_some()
                || entry.path.ends_with(".rs")
                || why.contains("link")
                || why.contains("lead"))
        {
            submission.notes.push(not_taken(&entry.path, why));
        }
    }
    let folders = folders(&candidates);
    submission.folders.clone_from(&folders);
    for task in Task::all() {
        let of_task = |candidate: &&Candidate| candidate.place.task == task;
        let mut of_task: Vec<&Candidate> = candidates.iter().filter(of_task).collect();
        // The file without which there is nothing comes first.
        of_task.sort_by_key(|candidate| candidate.place.file != "lib.rs");
        take_task(files, task, &of_task, folders.get(&task), submission);
    }
}

/// The files that are named as they should be; else, for tasks without a `lib.rs`, those that are named a little
/// otherwise; else the lone `lib.rs` of the one task that is wanted. And a note where one is not named as it should.
fn candidates(entries: &[Entry], wanted: &[Task]) -> (Vec<Candidate>, Vec<String>) {
    let plain = || entries.iter().filter(|entry| entry.refused.is_none());
    let found = |place: fn(&str) -> Option<Place>| {
        plain().filter_map(move |entry| {
            Some(Candidate {
                path: entry.path.clone(),
                place: place(&entry.path)?,
            })
        })
    };
    let mut candidates: Vec<Candidate> = found(place).collect();
    let mut notes = Vec::new();
    let has_lib = |candidates: &[Candidate], task: Task| {
        candidates
            .iter()
            .any(|candidate| candidate.place.task == task && candidate.place.file == "lib.rs")
    };
    let loose: Vec<Candidate> = found(loose_place)
        .filter(|candidate| !has_lib(&candidates, candidate.place.task))
        .collect();
    for candidate in loose
        .into_iter()
        .filter(|candidate| place(&candidate.path).as_ref() != Some(&candidate.place))
    {
        notes.push(taken_for(&candidate.path, candidate.place.task));
        candidates.retain(|other| other.path != candidate.path);
        candidates.push(candidate);
    }
    if let [task] = wanted
        && !has_lib(&candidates, *task)
    {
        let libs: Vec<&Entry> = plain().filter(|entry| is_lib(&entry.path)).collect();
        if let [lib] = libs[..] {
            notes.push(taken_for(&lib.path, *task));
            candidates.push(Candidate {
                path: lib.path.clone(),
                place: Place {
                    task: *task,
                    folder: lib.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned(),
                    file: "lib.rs".into(),
                },
            });
        }
    }
    (candidates, notes)
}

fn taken_for(path: &str, task: Task) -> String {
    format!(
        "`{}` was taken for tasks/{}/src/lib.rs or a file beside it; please name it so.",
        line(path, 200),
        task.crate_name()
    )
}

/// Where nothing was found, a lone archive inside is looked into.
fn open_inner(files: &mut dyn Files, entries: &[Entry], wanted: &[Task], submission: &mut Submission, depth: usize) {
    let refused = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.refused.as_ref()?)));
    submission
        .notes
        .extend(refused.map(|(entry, why)| not_taken(&entry.path, why)));
    let ends = |ends: &'static [&str]| {
        let is_it = move |entry: &&Entry| {
            let path = entry.path.to_lowercase();
            entry.refused.is_none() && ends.iter().any(|end| path.ends_with(end))
        };
        entries.iter().filter(is_it).collect::<Vec<&Entry>>()
    };
    for other in ends(&[".tar", ".tar.gz", ".tgz", ".rar", ".7z", ".gz", ".xz"]) {
        submission.notes.push(not_taken(
            &other.path,
            "it is no zip archive, and only those are opened",
        ));
    }
    let archives = ends(&[".zip"]);
    let upload = |entry: &&&Entry| {
        attempt(
            entry
                .path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".zip"),
        )
    };
    let Some(archive) = archives.iter().max_by_key(upload) else {
        return;
    };
    if archives
        .iter()
        .filter(|other| upload(other) == upload(&archive))
        .count()
        > 1
    {
        let note = format!(
            "There are {} archives inside, expected one: it is not clear which counts.",
            archives.len()
        );
        submission.notes.push(note);
        return;
    }
    for other in archives.iter().filter(|other| other.path != archive.path) {
        submission.notes.push(not_taken(&other.path, "it is an earlier upload"));
    }
    if depth >= DEEPEST {
        submission
            .notes
            .push(not_taken(&archive.path, "it lies in too many archives"));
        return;
    }
    let opened = files
        .read(&archive.path, MOST_ARCHIVE)
        .and_then(|bytes| Archive::of_bytes(bytes).map_err(|error| format!("it cannot be opened: {error:#}")));
    match opened {
        Ok(mut inner) => {
            submission
                .notes
                .push(format!("`{}` was opened.", line(&archive.path, 200)));
            take_from(&mut inner, wanted, submission, depth + 1);
        }
        Err(why) => submission.notes.push(not_taken(&archive.path, &why)),
    }
}

/// The folder of each task: where there are several copies, the one nearest to the top, and of those the first by name.
fn folders(candidates: &[Candidate]) -> BTreeMap<Task, String> {
    let mut folders: BTreeMap<Task, String> = BTreeMap::new();
    for Candidate { place, .. } in candidates.iter().filter(|candidate| candidate.place.file == "lib.rs") {
        let depth = |folder: &str| (folder.matches('/').count(), folder.to_owned());
        match folders.get(&place.task) {
            Some(known) if depth(known) <= depth(&place.folder) => {}
            _ => {
                folders.insert(place.task, place.folder.clone());
            }
        }
    }
    folders
}

fn take_task(
    files: &mut dyn Files,
    task: Task,
    candidates: &[&Candidate],
    folder: Option<&String>,
    submission: &mut Submission,
) {
    let (mut sources, mut bytes) = (BTreeMap::new(), 0);
    for Candidate { path, place } in candidates {
        if folder.is_some_and(|folder| *folder != place.folder) {
            let why = format!("{} is there twice", task.crate_name());
            submission.notes.push(not_taken(path, &why));
        } else if task.listed().is_given(&place.file) {
            // They come with every submission; only the tree's own count.
        } else if sources.len() >= MOST_FILES {
            let why = format!("a task has at most {MOST_FILES} source files");
            submission.notes.push(not_taken(path, &why));
        } else {
            match text(files, path, &place.file, &sources, MOST_OF_TASK - bytes) {
                Ok(text) => {
                    bytes += text.len() as u64;
                    sources.insert(place.file.clone(), text);
                }
                Err(why) => submission.notes.push(not_taken(path, &why)),
            }
        }
    }
    if sources.contains_key("lib.rs") {
        submission.sources.insert(task, sources);
    }
}

/// The text of a source file, if nothing is wrong with it.
fn text(
    files: &mut dyn Files,
    path: &str,
    file: &str,
    sources: &BTreeMap<String, String>,
    left: u64,
) -> Result<String, String> {
    let is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if file.split('/').any(is_bad) {
        return Err("such a name is not allowed".into());
    }
    if file.split('/').any(|part| part.len() > LONGEST_NAME) {
        return Err(format!("its name is longer than {LONGEST_NAME} bytes"));
    }
    let lies_in = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    if sources
        .keys()
        .any(|taken| lies_in(file, taken) || lies_in(taken, file) || taken == file)
    {
        return Err("another file has the name of its folder, or its own".into());
    }
    if left == 0 {
        return Err(format!("a task has at most {MOST_OF_TASK} bytes of sources"));
    }
    let bytes = files.read(path, MOST_BYTES.min(left))?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".into())
}

fn not_taken(path: &str, why: &str) -> String {
    format!("`{}` was not taken: {}", line(path, 200), line(why, 300))
}
