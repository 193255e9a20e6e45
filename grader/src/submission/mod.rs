//! What is taken from a submission: the students' own source files and nothing else.
//!
//! A submission is a folder or a zip archive that anybody may have made. Of each task, `src/lib.rs` and further `.rs`
//! files below `src` are taken if they are ordinary files of a moderate size with UTF-8 in them. All else is left where
//! it is; what might have been meant to count is listed, so that the student learns of it.

mod archive;
mod folder;
mod sort;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

pub use sort::{MOST_BYTES, MOST_FILES};

use crate::course::task::Task;

/// What was taken from a submission.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The sources of each task that came: paths below the task's `src`, such as `lib.rs` or `norms/mod.rs`, and text.
    pub sources: BTreeMap<Task, BTreeMap<String, String>>,
    /// Where in the submission each task's folder was found, for messages: `tasks/task6_dps`.
    pub folders: BTreeMap<Task, String>,
    /// What was not taken, or is missing, and why.
    pub notes: Vec<String>,
}

/// A file of a submission before anything is known of it.
struct Found {
    /// Its path below the submission, with `/` between folders.
    path: String,
    /// What it is.
    content: Content,
}

/// What stands at a path.
enum Content {
    /// An ordinary file, of at most [`MOST_BYTES`].
    Bytes(Vec<u8>),
    /// Something that is not read, and why.
    Refused(String),
}

/// Reads a submission, a folder or a zip archive.
///
/// # Errors
///
/// If it is neither, or cannot be read at all. What is wrong with single files is in the notes.
pub fn read_submission(path: &Path) -> Result<Submission> {
    let kind = std::fs::metadata(path).with_context(|| format!("cannot read the submission `{}`", path.display()))?;
    if kind.is_dir() {
        return Ok(sort::sort(folder::find(path)));
    }
    if !kind.is_file() {
        bail!("`{}` is neither a folder nor a zip archive", path.display());
    }
    archive::find(path).map(sort::sort)
}
