//! Finds the students of a class in what a platform hands out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use zip::ZipArchive;

use super::names::{Named, attempt, named};
use crate::grading::scratch::Work;
use crate::printable::line;
use crate::submission::{MOST_ARCHIVE, is_of_a_task};

/// The most that an archive of everything may unpack to, in bytes, and the most entries.
const MOST_UNPACKED: u64 = 2 << 30;
const MOST_ENTRIES: usize = 200_000;
/// Folders that wrap a class, one in the other, at most.
const DEEPEST: usize = 4;
/// The ends of files that are no submission, however they are called.
const ARCHIVE: &str = "zip";
const SOURCE: &str = "rs";

/// One student's submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Student {
    /// The platform's number or login, which decides on random inputs.
    pub id: String,
    /// The name.
    pub name: String,
    /// What reports and tables call it, which is there once: the folder's or file's name, made printable.
    pub submission: String,
    /// The folder or file that is graded.
    pub path: PathBuf,
    /// Whether the platform marked it as late.
    pub late: bool,
}

/// What is no submission, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A class.
pub struct Class {
    /// One for each student, by name.
    pub students: Vec<Student>,
    /// The rest.
    pub passed_over: Vec<PassedOver>,
    /// Where an archive of everything was unpacked to.
    _unpacked: Option<Work>,
}

/// The students of a folder or an archive that a platform hands out: a folder, an archive or a lone source file for
/// each.
///
/// # Errors
///
/// If it cannot be read, or there is no submission in it.
pub fn find(path: &Path) -> Result<Class> {
    let about = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let unpacked = if about.is_file() { Some(unpack(path)?) } else { None };
    let top = unpacked
        .as_ref()
        .map_or(path.to_owned(), |work| work.path().join("class"));
    let folder = unwrapped(&top)?;
    let mut passed_over = Vec::new();
    let mut found: BTreeMap<String, (Named, PathBuf)> = BTreeMap::new();
    let known = crate::class::metadata::read(&folder);
    for entry in sorted(&folder)? {
        let shown = line(&entry.file_name().unwrap_or_default().to_string_lossy(), 200);
        let stem = match stem_of_submission(&entry) {
            Ok(stem) => stem,
            Err(why) => {
                passed_over.push(PassedOver { name: shown, why });
                continue;
            }
        };
        let named = known.get(&stem).cloned().unwrap_or_else(|| of_stem(&stem));
        match found.get(&named.id) {
            Some((other, _)) if other.attempt >= named.attempt => passed_over.push(earlier(shown)),
            Some((_, path)) => {
                let name = line(&path.file_name().unwrap_or_default().to_string_lossy(), 200);
                passed_over.push(earlier(name));
                found.insert(named.id.clone(), (named, entry));
            }
            None => {
                found.insert(named.id.clone(), (named, entry));
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "`{}` holds no submission: expected folders and zip archives, one for each student{}",
        path.display(),
        in_words(&passed_over)
    );
    let mut students: Vec<Student> = found
        .into_values()
        .map(|(named, path)| Student {
            submission: line(&path.file_name().unwrap_or_default().to_string_lossy(), 120),
            name: line(&named.name, 120),
            id: named.id,
            late: named.late,
            path,
        })
        .collect();
    students.sort_by(|a, b| a.path.cmp(&b.path));
    tell_apart(&mut students);
    Ok(Class {
        students,
        passed_over,
        _unpacked: unpacked,
    })
}

fn in_words(passed_over: &[PassedOver]) -> String {
    let names: Vec<&str> = passed_over.iter().take(5).map(|passed| passed.name.as_str()).collect();
    match names[..] {
        [] => String::new(),
        _ => format!("; found only {}", names.join(", ")),
    }
}

fn earlier(name: String) -> PassedOver {
    let why = "an earlier upload of the same student".into();
    PassedOver { name, why }
}

fn of_stem(stem: &str) -> Named {
    let found = named(stem);
    match found.attempt {
        0 => Named {
            attempt: attempt(stem),
            ..found
        },
        _ => found,
    }
}

/// Two names that are printed alike become two.
fn tell_apart(students: &mut [Student]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for student in students {
        // What leads out of a folder, or hides in it, is no name for one.
        student.submission = student
            .submission
            .replace(['/', '\\'], "?")
            .trim_start_matches('.')
            .to_owned();
        let count = seen.entry(student.submission.clone()).or_insert(0);
        *count += 1;
        if *count > 1 || student.submission.is_empty() {
            student.submission = format!("{} [{count}]", student.submission);
        }
    }
}

/// The name without an archive's end, where the entry may be a submission; else why it is passed over.
fn stem_of_submission(entry: &Path) -> Result<String, String> {
    let about = entry.symlink_metadata().map_err(|error| error.to_string())?;
    let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.starts_with('.') || name == "__MACOSX" {
        return Err("made by a system, not by a student".into());
    }
    if about.is_dir() {
        return match name.contains("_assignsubmission_onlinetext") {
            true => Err("a text that was typed in, no files".into()),
            false => Ok(name),
        };
    }
    if !about.is_file() {
        return Err("neither a folder nor a file".into());
    }
    let (stem, end) = name.rsplit_once('.').unwrap_or((&name, ""));
    match end.to_lowercase().as_str() {
        ARCHIVE | SOURCE => Ok(stem.to_owned()),
        _ => Err("neither a folder, a zip archive nor a source file".into()),
    }
}

/// The folder that holds one entry for each student: inside of folders that hold nothing else.
fn unwrapped(top: &Path) -> Result<PathBuf> {
    let mut folder = top.to_owned();
    for _ in 0..DEEPEST {
        let inside: Vec<PathBuf> = sorted(&folder)?
            .into_iter()
            .filter(|entry| stem_of_submission(entry).is_ok())
            .collect();
        match &inside[..] {
            // A student's own folder holds the tasks, or files and not folders.
            [only] if only.is_dir() && !is_students(only) => folder = only.clone(),
            _ => return Ok(folder),
        }
    }
    Ok(folder)
}

/// Whether a folder is one student's: something in it is a task's, or there are files in it and nothing else.
fn is_students(folder: &Path) -> bool {
    let is_of_task = |path: &Path| path.strip_prefix(folder).is_ok_and(is_of_a_task);
    let entries = sorted(folder).unwrap_or_default();
    let holds_folders = entries.iter().filter(|entry| entry.is_dir()).count();
    let holds_archives = entries
        .iter()
        .filter(|entry| stem_of_submission(entry).is_ok() && entry.is_file())
        .count();
    let walk = walkdir::WalkDir::new(folder)
        .max_depth(6)
        .into_iter()
        .flatten()
        .take(2000);
    let own = walk.map(walkdir::DirEntry::into_path).any(|path| {
        let depth = path.strip_prefix(folder).map_or(0, |path| path.components().count());
        depth <= 4 && is_of_task(&path)
    });
    own || (holds_folders == 0 && holds_archives <= 1)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Unpacks an archive of everything: plain files only, of which none is larger than an archive may be.
fn unpack(path: &Path) -> Result<Work> {
    let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut archive = ZipArchive::new(std::io::BufReader::new(file)).with_context(|| {
        format!(
            "`{}` is neither a folder nor a zip archive that can be read",
            path.display()
        )
    })?;
    ensure!(
        archive.len() <= MOST_ENTRIES,
        "`{}` has {} entries, expected at most {MOST_ENTRIES}: unpack it, and name the folder",
        path.display(),
        archive.len()
    );
    let work = Work::new()?;
    let top = work.path().join("class");
    fs::create_dir_all(&top)?;
    let mut left = MOST_UNPACKED;
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        // No path that leads out of the folder has an enclosed name.
        let Some(name) = entry.enclosed_name().filter(|name| !name.as_os_str().is_empty()) else {
            continue;
        };
        if entry.is_dir() {
            fs::create_dir_all(top.join(name))?;
            continue;
        }
        if !entry.is_file() {
            continue;
        }
        let most = MOST_ARCHIVE.min(left);
        let place = top.join(name);
        fs::create_dir_all(place.parent().unwrap_or(&top))?;
        let mut bytes = std::io::Read::take(entry, most);
        let mut out = File::create(&place)?;
        left -= std::io::copy(&mut bytes, &mut out)?;
        out.flush()?;
        ensure!(
            left > 0,
            "`{}` unpacks to more than {MOST_UNPACKED} bytes: unpack it, and name the folder",
            path.display()
        );
    }
    Ok(work)
}
