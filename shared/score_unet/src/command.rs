//! What the programs of this crate share: the thread pool, errors and the exit status.

use std::process::ExitCode;

/// Runs `work` inside a pool of `threads` threads (default: one for each core) and turns its error into a message on
/// standard error and exit status 2.
///
/// The pool matters: a parallel loop that is started from outside costs two thread switches each time.
pub fn run_command(threads: Option<usize>, work: impl FnOnce() -> anyhow::Result<()> + Send) -> ExitCode {
    match start_threads(threads).and_then(|()| rayon::scope(|_| work())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    anyhow::ensure!(threads != Some(0), "--threads must be at least 1");
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build_global()?)
}
