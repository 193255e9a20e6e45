//! The sources of a class as JPlag and other programs that compare submissions read them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::find::Class;
use crate::course::task::Task;
use crate::submission::read_submission_for;

/// Writes a folder for each student, with what was taken of the submission: `OUT/STUDENT/task6_dps/lib.rs`; the number
/// of students with a source.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn export(class: &Class, tasks: &[Task], out: &Path) -> Result<usize> {
    let mut written = 0;
    for student in &class.students {
        let Ok(submission) = read_submission_for(&student.path, tasks) else {
            continue;
        };
        let sources = submission.sources.iter().filter(|(task, _)| tasks.contains(task));
        let mut has_source = false;
        for (task, sources) in sources {
            let folder = out.join(&student.submission).join(task.crate_name());
            for (file, text) in sources {
                let path = folder.join(file);
                fs::create_dir_all(path.parent().unwrap_or(&folder))
                    .and_then(|()| fs::write(&path, text))
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
                has_source = true;
            }
        }
        written += usize::from(has_source);
    }
    Ok(written)
}
