//! What every task's command line shares: the options, the prior and the images, progress, the report, and how errors,
//! Ctrl-C and unfinished exercises are told.
//!
//! A task's `main` is [`run`] with the task's own part as a closure:
//!
//! ```no_run
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Options {
//!     #[command(flatten)]
//!     common: cli::CommonOptions,
//!     #[command(flatten)]
//!     images: cli::ImageOptions,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let options = cli::parse::<Options>();
//!     cli::run("task2_denoise", &options.common, |session| {
//!         let prior = session.prior()?;
//!         let images = session.images(&options.images, &prior, 4)?;
//!         session.note(&format!("{} images for {}", images.len(), prior.name()));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! - [`parse`]: reads the flags; [`CommonOptions`]: those that all programs have; [`ImageOptions`], [`StepOptions`] and
//!   [`ProblemOptions`]: those of programs that work on images, take steps, or solve inverse problems;
//! - [`Session`]: loads the prior and the images, and writes what the task makes;
//! - [`Progress`]: an observer for samplers, and a bar for other loops;
//! - [`solve_problems`]: what tasks 4, 5 and 6 share, from `--operator` to the result figure; [`compare_methods`]: the
//!   same with several methods;
//! - [`Report`]: the table on the screen and the JSON file.
//!
//! Text for people goes to standard error, the table of results to standard output. The exit status is 0, 2 for
//! anything the user can mend, 130 after Ctrl-C (129 and 143 after HUP and TERM), and 101 where code panicked.

mod decibels;
mod experiment;
mod first_image;
mod inverse;
mod inverse_figures;
mod judge;
mod memory;
mod operators;
mod options;
mod problem_options;
mod progress;
mod range;
mod report;
mod run;
mod session;
mod table;
mod times;
mod variance;

pub use inverse::{Contender, Method, Plan, Planning, Problem, Solve, compare_methods, solve_problems};
pub use inverse_figures::{WHITE_STD, mean, path_strip, spread};
pub use judge::{Judge, Judged, Scores};
pub use memory::check_batch;
pub use options::{CommonOptions, ImageOptions, StepOptions};
pub use problem_options::{NoiseOption, ProblemOptions};
pub use program::{data_folder, find_prior, parse, print_text};
pub use progress::Progress;
pub use report::{MeanRow, Report, ReportRow};
pub use run::{catch_panics, check_interrupted, explain_panic, panic_message, run, unfinished};
pub use session::Session;
pub use times::{check_times, times};
pub use variance::{Variance, VarianceOptions};
