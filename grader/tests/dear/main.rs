//! Tests that build or grade a lot, each for minutes, and so run only when asked for:
//!
//! ```text
//! cargo test -p grader --test dear attacks -- --ignored --nocapture
//! cargo test -p grader --test dear mistakes -- --ignored --nocapture
//! cargo test -p grader --test dear fairness -- --ignored --nocapture
//! cargo test -p grader --test dear releases -- --ignored --nocapture
//! cargo test -p grader --test dear classical -- --ignored --nocapture
//! cargo test -p grader --test dear container -- --ignored --nocapture
//! ```
//!
//! With `EVERY=8` the first three take every eighth of their attacks or mistakes, other ones at each commit, and with
//! `TASK=6` the second and the third look at one task only.

mod attacks;
mod classical;
mod container;
mod fairness;
mod latency;
mod list;
mod mistakes;
mod part;
mod releases;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use grader::Task;

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// The folder that this workspace is built in.
fn target_folder() -> Result<&'static Path> {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .context("a target folder")
}

/// A task by its number.
fn task_of(number: u8) -> Task {
    Task::of_number(number).expect("the list has that task")
}

/// The task that the variable `TASK` names, or all.
fn chosen_tasks() -> Result<Vec<Task>> {
    match std::env::var("TASK") {
        Ok(task) => Ok(vec![task.parse().map_err(anyhow::Error::msg)?]),
        Err(_) => Ok(Task::all()),
    }
}

/// The program of this package is the sandbox's helper, too.
fn use_helper() {
    sandbox::use_helper(env!("CARGO_BIN_EXE_grader").into(), vec!["sandbox-exec".into()]);
}
