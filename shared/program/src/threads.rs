//! The thread pool that everything computes in.

use std::error::Error;

use anyhow::{Context, Result};
use clap::Args;

/// The flag for the number of threads.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ThreadOptions {
    /// Threads to compute with, 1 to 1024 [default: one for each core].
    // A machine with more cores is rare; a pool of many thousands starts for minutes before it fails.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
}

/// Starts the pool that all parallel loops of this process use. One that is there already stays as it is.
///
/// # Errors
///
/// If the system gives no more threads.
pub fn start_threads(options: ThreadOptions) -> Result<()> {
    let threads = options.threads.unwrap_or(0) as usize;
    let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    match started {
        // The one cause without a source: there is a pool already.
        Err(error) if error.source().is_none() => Ok(()),
        started => started.with_context(|| format!("cannot start {threads} threads; use fewer with --threads")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_stays_as_it_is() -> Result<()> {
        start_threads(ThreadOptions { threads: Some(3) })?;
        start_threads(ThreadOptions::default())?;
        assert_eq!(rayon::current_num_threads(), 3);
        Ok(())
    }
}
