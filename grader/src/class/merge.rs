//! Joins the parts of a class that were graded on several machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::find::Class;
use super::grade::{Graded, REPORTS, SUMMARY, Shard, graded_before};
use crate::report::write_file;

/// The file in the folder of each part that says which class it is a part of.
const PART: &str = "class.json";

/// A part of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which, and of how many; none for all of it.
    shard: Option<(usize, usize)>,
    /// With which secret, images, thresholds and settings.
    course: String,
    /// All submissions of the class, also those of other parts.
    students: Vec<String>,
}

/// What came of joining parts.
#[derive(Debug, Default)]
pub struct Merged {
    /// All that was graded.
    pub graded: Graded,
    /// The submissions that no part graded.
    pub missing: Vec<String>,
    /// Those that several did; the first is taken.
    pub twice: Vec<String>,
}

/// Writes down which part of which class is graded into a folder.
///
/// # Errors
///
/// If it cannot be written.
pub fn write_part(class: &Class, course: &str, shard: Option<Shard>, out: &Path) -> Result<()> {
    let part = Part {
        shard: shard.map(|shard| (shard.number, shard.of)),
        course: course.to_owned(),
        students: class
            .students
            .iter()
            .map(|student| student.submission.clone())
            .collect(),
    };
    write_file(&out.join(PART), &serde_json::to_vec_pretty(&part)?)
}

/// Copies the reports of all parts into one folder.
///
/// # Errors
///
/// If a folder is no part, the parts are of several classes or were graded in several ways, or a file cannot be copied.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Merged> {
    let mut merged = Merged::default();
    let mut class: Option<Part> = None;
    let mut seen: BTreeMap<String, ()> = BTreeMap::new();
    for folder in parts {
        let part = read(folder)?;
        let first = class.get_or_insert_with(|| part.clone());
        ensure!(
            first.students == part.students,
            "`{}` is a part of another class than `{}`: the same download has to be graded on all machines",
            folder.display(),
            parts[0].display()
        );
        ensure!(
            first.course == part.course,
            "`{}` was graded with another secret, other hidden images, thresholds or flags than `{}`: grade it again \
             with the same ones",
            folder.display(),
            parts[0].display()
        );
        for name in &part.students {
            let reports = folder.join(REPORTS).join(name);
            let Some(summary) = graded_before(&reports) else {
                continue;
            };
            if seen.insert(name.clone(), ()).is_some() {
                merged.twice.push(name.clone());
                continue;
            }
            copy(&reports, &out.join(REPORTS).join(name))?;
            merged.graded.summaries.push(summary);
        }
    }
    let all = class.map(|part| part.students).unwrap_or_default();
    merged.missing = all.into_iter().filter(|name| !seen.contains_key(name)).collect();
    merged.graded.summaries.sort_by(|a, b| a.submission.cmp(&b.submission));
    Ok(merged)
}

fn read(folder: &Path) -> Result<Part> {
    let path = folder.join(PART);
    let text = fs::read(&path).with_context(|| {
        format!(
            "cannot read `{}`: expected the folder that `grader batch --shard I/N --out` wrote to",
            path.display()
        )
    })?;
    serde_json::from_slice(&text).with_context(|| format!("`{}` is damaged", path.display()))
}

/// The plain files of a folder; the summary last, as it says that all are there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make the folder `{}`", to.display()))?;
    let mut files: Vec<PathBuf> = fs::read_dir(from)?.flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|file| file.ends_with(SUMMARY));
    for file in files.iter().filter(|file| file.is_file()) {
        let name = file.file_name().context("a file has a name")?;
        fs::copy(file, to.join(name)).with_context(|| format!("cannot copy `{}`", file.display()))?;
    }
    Ok(())
}
