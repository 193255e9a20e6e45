//! Proof that this machine can grade: the reference solution earns all points here, in the sandbox, within the limits.
//!
//! It is graded without images, once for each kit, machine, choice of limits and set of thresholds; that it was is kept
//! beside the kits, where no submission can write.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::course::task::Task;
use crate::grading::grade::{GradeOptions, GradeReport, Grader};
use crate::report::write_file;
use crate::submission::Submission;

/// Grades the reference solution of all tasks that are asked for, unless that was done.
///
/// # Errors
///
/// If it loses points: the machine is at fault, or the tree, and no submission.
pub fn prove(grader: &Grader) -> Result<()> {
    let reference = reference(grader.options())?;
    let mark = grader
        .kit()
        .folder
        .with_file_name(format!("proof-{}", key(grader, &reference)));
    if mark.is_file() {
        return Ok(());
    }
    let report = grader
        .without_images()
        .grade_read(&reference, "the reference solution", &mut |_, _| {})?;
    if let Some(lost) = lost(&report) {
        bail!(
            "this machine cannot grade: even the reference solution does not earn all points here. {lost}\nNobody was \
             given points. Mend the machine (is it overloaded, out of memory or disk?) or the tree (`grader doctor`)"
        );
    }
    // Where it cannot be kept, it is proved again.
    let _ = write_file(&mark, b"");
    Ok(())
}

fn reference(options: &GradeOptions) -> Result<Submission> {
    let mut submission = Submission::default();
    for &task in &options.tasks {
        let path = options.root.join("tasks").join(task.crate_name()).join("src/lib.rs");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        submission
            .sources
            .insert(task, BTreeMap::from([("lib.rs".to_owned(), text)]));
    }
    Ok(submission)
}

/// The first check in which points were lost, in words.
fn lost(report: &GradeReport) -> Option<String> {
    for task in &report.tasks {
        if let Some(error) = &task.build_error {
            return Some(format!("{} could not be built: {error}", task.task.title()));
        }
        if let Some(check) = task.checks.iter().find(|check| check.points < check.out_of) {
            return Some(format!(
                "{}: {:.2} of {} points. {}",
                check.key, check.points, check.out_of, check.text
            ));
        }
    }
    None
}

fn key(grader: &Grader, reference: &Submission) -> String {
    let options = grader.options();
    let mut hash = Sha256::new();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    hash.update(format!(
        "{} {machine} {processors} {:?} {:?} {:?} {:?} {:?}",
        grader.kit().folder.display(),
        options.tasks,
        options.only,
        options.compile_limits,
        options.budget,
        options.isolation,
    ));
    for (task, sources) in &reference.sources {
        hash.update(format!("{}{sources:?}", Task::number(*task)));
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
