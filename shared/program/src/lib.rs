//! How the workspace's programs start and end, one way for all of them: what is said of wrong flags, the threads, the
//! signals that ask to stop, the words of an error, and the exit status.
//!
//! - [`parse`]: the flags, with tips for common slips;
//! - [`data_folder`], [`find_prior`]: where the repository's data lie;
//! - [`start_threads`]: the pool that everything computes in;
//! - [`catch_signals`], [`stop_asked`]: Ctrl-C, TERM and HUP, and the exit status that each leads to;
//! - [`explain`]: an error and its causes, each said once;
//! - [`say`], [`print()`], [`print_text`]: lines that nobody may be there to read; [`all_printed`]: whether they
//!   arrived;
//! - [`run`]: all of these for a program without a prior.
//!
//! The exit status is 0, 2 for anything that the user can mend, and 128 plus the signal's number after a signal.

mod explain;
mod flags;
#[cfg(unix)]
mod ignored;
mod locate;
mod print;
mod run;
mod signals;
mod threads;

pub use explain::explain;
pub use flags::parse;
pub use locate::{data_folder, find_prior};
pub use print::{all_printed, print, print_text, say};
pub use run::{USER_ERROR, run, run_outside};
pub use signals::{Signal, catch_signals, stop_asked};
pub use threads::{ThreadOptions, start_threads};
