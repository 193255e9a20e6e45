//! Cuts the students' tree, grades submissions in a sandbox, and reports.
//!
//! The way of a submission: [`submission`] takes the student's own source files, [`compile`] builds each task around a worker
//! in the sandbox, [`ask`] runs the worker on the requests of the [`checks`], which judge its answers, and [`grade`] puts it
//! all together.

pub mod ask;
pub mod checks;
pub mod compile;
mod grade;
pub mod kit;
mod scratch;
pub mod submission;
mod task;
pub mod thresholds;

pub use grade::{CheckReport, GradeOptions, GradeReport, Grader, TaskReport, grade};
pub use task::Task;
