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
    run_outside(threads, || rayon::scope(|_| work()))
}

/// The same outside of the pool: for work that waits for another thread. If it waited inside, and the pool had one
/// thread, the other thread's parallel loops would wait for it.
pub fn run_outside(threads: ThreadOptions, work: impl FnOnce() -> Result<()>) -> ExitCode {
    match (start_threads(threads).and_then(|()| work()), stop_asked()) {
        (Err(error), _) => {
            say(&format!("error: {}", explain(&error)));
            ExitCode::from(USER_ERROR)
        }
        (Ok(()), Some(signal)) => ExitCode::from(signal.exit_status()),
        (Ok(()), None) => ExitCode::SUCCESS,
    }
}
