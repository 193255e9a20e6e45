//! Lines for whoever watches. Where nobody can, since a pipe was closed or a disk is full, the work goes on.

use std::io::{Write, stderr, stdout};

/// A line on standard error: for people.
pub fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// A line on standard output: results, and the course of a training.
pub fn print(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
