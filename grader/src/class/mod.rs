//! A class: from what a platform hands out to one report for each student, and the tables of all.

mod adjust;
mod find;
mod grade;
pub mod jplag;
pub mod merge;
mod metadata;
mod names;
mod page;
mod table;

pub use adjust::{Adjusted, Adjustments, MANUAL};
pub use find::{Class, PassedOver, Student, find};
pub use grade::{ClassOptions, Graded, Shard, Summary, course, grade_class, make_out};
pub use names::attempt;
pub use table::write_tables;
