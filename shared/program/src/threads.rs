//! The thread pool that everything computes in.

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

/// Starts the pool that all parallel loops of this process use.
///
/// # Errors
///
/// If the system gives no more threads, or there is a pool already.
pub fn start_threads(options: ThreadOptions) -> Result<()> {
    let threads = options.threads.unwrap_or(0) as usize;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .with_context(|| format!("cannot start {threads} threads; use fewer with --threads"))
}
