//! The quick tests of the grader; those that build or grade a lot are in `dear`.

mod classes;
mod commands;
mod crates;
mod doctor;
mod fairness;
mod interrupted;
mod one_build;
mod programs;
mod releases;
mod reports;
mod rooms;
mod submissions;

use std::path::{Path, PathBuf};

use grader::Task;

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// A task by its number.
fn task(number: u8) -> Task {
    Task::of_number(number).expect("the list has tasks 2 to 6")
}
