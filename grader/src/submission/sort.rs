//! Decides which of the files found belong to which task.

use std::collections::BTreeMap;

use super::{Content, Found, Submission};
use crate::course::task::Task;

/// The largest source file that is taken, in bytes.
pub const MOST_BYTES: u64 = 512 << 10;
/// The most source files of one task.
pub const MOST_FILES: usize = 64;
/// So many entries of a folder or an archive are looked at.
pub const MOST_ENTRIES: usize = 50_000;
/// So many notes are kept.
const MOST_NOTES: usize = 40;

/// Whether a path is one of a source file of a task.
pub fn is_source(path: &str) -> bool {
    place(path).is_some()
}

/// The task, its folder, and the path below its `src`: `a/tasks/task6_dps/src/lib.rs` gives task 6, `a/tasks/task6_dps`
/// and `lib.rs`.
fn place(path: &str) -> Option<(Task, &str, &str)> {
    let of_task = |task: Task| {
        let mark = format!("{}/src/", task.crate_name());
        let start = path
            .match_indices(&mark)
            .map(|(start, _)| start)
            .find(|&start| is_start(path, start))?;
        let inside = start + mark.len();
        Some((task, &path[..inside - "/src/".len()], &path[inside..]))
    };
    let (task, folder, file) = Task::all().into_iter().find_map(of_task)?;
    (file.ends_with(".rs") && !folder.split('/').any(|part| part == "target")).then_some((task, folder, file))
}

fn is_start(path: &str, start: usize) -> bool {
    start == 0 || path.as_bytes()[start - 1] == b'/'
}

/// Takes the source files, and notes what is wrong with others. A task without `lib.rs` is not there at all.
pub fn sort(found: Vec<Found>) -> Submission {
    let mut submission = Submission {
        folders: folders(&found),
        ..Submission::default()
    };
    for Found { path, content } in found {
        if let Err(note) = take(&mut submission, &path, content) {
            submission.notes.push(note);
        }
    }
    for task in Task::all() {
        let sources = submission.sources.get(&task);
        if !sources.is_some_and(|sources| sources.contains_key("lib.rs")) {
            submission.sources.remove(&task);
        }
    }
    if submission.notes.len() > MOST_NOTES {
        let more = submission.notes.len() - MOST_NOTES;
        submission.notes.truncate(MOST_NOTES);
        submission.notes.push(format!("and {more} more notes"));
    }
    submission
}

/// The folder of each task: where there are several copies, the one nearest to the top, and of those the first by name.
fn folders(found: &[Found]) -> BTreeMap<Task, String> {
    let mut folders: BTreeMap<Task, String> = BTreeMap::new();
    for file in found {
        let Some((task, folder, "lib.rs")) = place(&file.path) else {
            continue;
        };
        let depth = |folder: &str| (folder.matches('/').count(), folder.to_owned());
        match folders.get(&task) {
            Some(known) if depth(known) <= depth(folder) => {}
            _ => {
                folders.insert(task, folder.to_owned());
            }
        }
    }
    folders
}

fn take(submission: &mut Submission, path: &str, content: Content) -> Result<(), String> {
    let shown = shown(path);
    let bytes = match content {
        Content::Bytes(bytes) => bytes,
        Content::Refused(why) => return Err(format!("{shown} was not taken: {why}")),
    };
    let Some((task, folder, file)) = place(path) else {
        return Err(format!("{shown} was not taken: it is no source file of a task"));
    };
    if submission.folders.get(&task).is_none_or(|known| known != folder) {
        return Err(format!("{shown} was not taken: {} is there twice", task.crate_name()));
    }
    if task.listed().is_given(file) {
        // They come with every submission; only the tree's own count.
        return Ok(());
    }
    if file.split('/').any(|part| part.is_empty() || part.starts_with('.')) || file.contains('\0') {
        return Err(format!("{shown} was not taken: such a name is not allowed"));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(format!("{shown} was not taken: it is not UTF-8 text"));
    };
    let sources = submission.sources.entry(task).or_default();
    if sources.len() >= MOST_FILES {
        return Err(format!(
            "{shown} was not taken: a task has at most {MOST_FILES} source files"
        ));
    }
    if sources.insert(file.to_owned(), text).is_some() {
        return Err(format!("{shown} is there twice; the later one was taken"));
    }
    Ok(())
}

/// A path as it is safe to print: no control characters, not endless.
fn shown(path: &str) -> String {
    let printable: String = path
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(200)
        .collect();
    format!("`{printable}`")
}
