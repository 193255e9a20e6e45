//! Grading one submission: the kit of compiled crates, the compiler, the worker's run, and the report of it all.

pub mod ask;
mod budget;
pub mod compile;
pub mod grade;
pub mod kit;
mod outcome;
mod proof;
pub(crate) mod scratch;
mod talk;
