//! A program from start to end.

use std::process::ExitCode;

use anyhow::Result;

use crate::explain::explain;
use crate::print::say;
use crate::signals::stop_asked;
use crate::threads::{ThreadOptions, start_threads};

/// The exit status where the user can mend what is wrong.
pub const USER_ERROR: u8 = 2;

/// Starts the threads and runs `work` inside their pool (a parallel loop that is started from outside costs two thread
/// switches each time). An error becomes a message on standard error and the exit status [`USER_ERROR`]; where a signal
/// ended the work, the status is the signal's.
///
/// `work` is asked to notice [`stop_asked`] and to return `Ok` once it has written what it has.
pub fn run(threads: ThreadOptions, work: impl FnOnce() -> Result<()> + Send) -> ExitCode {
    let outcome = start_threads(threads).and_then(|()| rayon::scope(|_| work()));
    match (outcome, stop_asked()) {
        (Err(error), _) => {
            say(&format!("error: {}", explain(&error)));
            ExitCode::from(USER_ERROR)
        }
        (Ok(()), Some(signal)) => ExitCode::from(signal.exit_status()),
        (Ok(()), None) => ExitCode::SUCCESS,
    }
}
