//! The command `grader`.
fn main() {}
