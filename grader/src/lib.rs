//! Cuts the students' tree, grades submissions in a sandbox, and reports.
//!
//! The way of a submission: [`submission`] takes the student's own source files, [`grading`] builds each task around a
//! worker in the sandbox and runs that on the requests of the [`checks`], which judge its answers, and [`report`]
//! writes what came of it. [`course`] is what stands before that: the list of tasks, the students' tree, the package
//! for a platform; [`bands`] are the points and what the figures of images have to reach.

pub mod bands;
pub mod bar;
pub mod checks;
pub mod class;
pub mod course;
pub mod grading;
pub mod late;

pub mod printable;
pub mod report;
pub mod secret;
pub mod submission;

pub use course::task::Task;
pub use grading::grade::{CheckReport, GradeOptions, GradeReport, Grader, TaskReport, Visibility, grade};
