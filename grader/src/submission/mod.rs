//! What is taken from a submission: the students' own source files and nothing else.
//!
//! A submission is a folder or a zip archive that anybody may have made. Of each task, `src/lib.rs` and further `.rs`
//! files below `src` are taken if they are ordinary files of a moderate size with UTF-8 in them. All else is left where
//! it is; what might have been meant to count is listed, so that the student learns of it.

mod archive;
mod files;
mod folder;
mod lone;
mod place;
mod take;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

pub use files::{MOST_ARCHIVE, MOST_BYTES};
pub use take::MOST_FILES;

use crate::course::task::Task;

/// What was taken from a submission.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The sources of each task that came: paths below the task's `src`, such as `lib.rs` or `norms/mod.rs`, and text.
    pub sources: BTreeMap<Task, BTreeMap<String, String>>,
    /// Where in the submission each task's folder was found, for messages: `tasks/task6_dps`.
    pub folders: BTreeMap<Task, String>,
    /// What was not taken, or taken although it is named otherwise, and why.
    pub notes: Vec<String>,
    /// The first of all files that arrived.
    pub arrived: Vec<String>,
}

impl Submission {
    /// What is said where a task did not come: which name is needed, and what arrived.
    #[must_use]
    pub fn missing(&self, task: Task) -> String {
        let name = task.crate_name();
        let arrived = match &self.arrived[..] {
            [] => "No file arrived.".to_owned(),
            arrived => format!("What arrived: {}.", arrived.join(", ")),
        };
        format!("tasks/{name}/src/lib.rs did not come with the submission, or was not taken. {arrived}")
    }
}

/// Whether a path below a student's folder is one of a task.
#[must_use]
pub fn is_of_a_task(path: &Path) -> bool {
    path.to_str().is_some_and(|path| place::loose_place(path).is_some())
}

/// Reads a submission, a folder or a zip archive.
///
/// # Errors
///
/// If it is neither, or cannot be read at all. What is wrong with single files is in the notes.
pub fn read_submission(path: &Path) -> Result<Submission> {
    read_submission_for(path, &Task::all())
}

/// The same where these tasks are graded: of only one, a lone `lib.rs` is enough.
///
/// # Errors
///
/// As [`read_submission`].
pub fn read_submission_for(path: &Path, wanted: &[Task]) -> Result<Submission> {
    let kind = std::fs::metadata(path).with_context(|| format!("cannot read the submission `{}`", path.display()))?;
    if kind.is_dir() {
        return Ok(take::take(&mut folder::Folder(path.to_owned()), wanted));
    }
    if !kind.is_file() {
        bail!("`{}` is neither a folder nor a zip archive", path.display());
    }
    if path.extension().is_some_and(|end| end == "rs") {
        return Ok(take::take(&mut lone::Lone(path.to_owned()), wanted));
    }
    Ok(take::take(&mut archive::Archive::open(path)?, wanted))
}
