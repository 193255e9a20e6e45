//! The helper program: it shuts itself in and becomes the untrusted program, while its first process watches from
//! outside.
//!
//! Three processes, each a fork of the one before, none with a second thread, so that nothing here runs between a fork
//! and an exec of a program with threads:
//!
//! 1. the supervisor (`supervise`) stays outside: it watches limits, kills everything, and answers to the caller;
//! 2. the first process of the new namespaces (`init`): it builds the file tree and collects orphans. When it dies the
//!    kernel kills all others in there. Without namespaces it is left out;
//! 3. the program itself (`confine`): it gives up its rights for good and starts the untrusted program.

mod confine;
mod disk;
mod file_tree;
mod init;
mod namespaces;
pub(crate) mod plan;
mod probe;
mod processes;
mod supervise;
mod system_calls;
mod unsafe_calls;

use std::path::Path;
use std::process::ExitCode;

use plan::{Plan, Report, Task};

pub(crate) use probe::Probe;

/// What the helper program does, given the folder that [`crate::run`] prepared for it: the whole of its `main`.
///
/// It must be called before the process has a second thread.
#[must_use]
pub fn helper_main(folder: &Path) -> ExitCode {
    match carry_out(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("sandbox helper: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the plan and does what it says; the report goes to the folder.
fn carry_out(folder: &Path) -> Result<(), String> {
    let plan = Plan::read(folder)?;
    let report = Report::open(folder)?;
    match plan.task {
        Task::Run => supervise::supervise(&plan, &report),
        Task::Probe => probe::probe(&plan, &report),
    }
}
