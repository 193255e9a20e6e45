//! Grading one submission: the kit of compiled crates, the compiler, the worker's run, and the report of it all.

pub mod ask;
pub mod compile;
pub mod grade;
pub mod kit;
pub(crate) mod scratch;
