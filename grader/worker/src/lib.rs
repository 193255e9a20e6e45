//! Calls the functions of the tasks by their exercises' numbers.
//!
//! Each module has two lives. In this crate it stands on the reference solution, and the grader asks it what is right.
//! The grader also compiles the same file alone, as a program, with a student's crate in place of the reference: that
//! is the worker which runs in the sandbox. Hence each has a `main`.

pub mod task2;
pub mod task3;
pub mod task4;
pub mod task5;
pub mod task6;
