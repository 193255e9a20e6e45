//! Cuts the students' tree, grades submissions in a sandbox, and reports.
//!
//! The way of a submission: [`submission`] takes the student's own source files, [`compile`] builds each task around a worker
//! in the sandbox, [`ask`] runs the worker on the requests of the [`checks`], which judge its answers, [`grade`] puts it all
//! together, and [`report`] writes what came of it.

pub mod ask;
pub mod bar;
pub mod batch;
pub mod calibrate;
pub mod checks;
pub mod compile;
mod grade;
pub mod hidden;
pub mod kit;
pub mod package;
pub mod release;
pub mod report;
mod scratch;
pub mod submission;
mod task;
pub mod thresholds;
mod tree;

pub use grade::{CheckReport, GradeOptions, GradeReport, Grader, TaskReport, grade};
pub use task::Task;
