//! Lines for whoever watches. Where nobody can, since a pipe was closed or a disk is full, the work goes on.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;

use anyhow::{Result, bail};

/// Why something that was printed did not arrive.
static LOST: OnceLock<String> = OnceLock::new();

/// A line on standard error: for people.
pub fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// A line on standard output: results, and the course of a training.
pub fn print(line: &str) {
    print_text(&format!("{line}\n"));
}

/// Text on standard output that has its line breaks in it, such as a table.
///
/// Where it cannot be written, that is said once; whoever closed a pipe has seen enough, and is told nothing.
pub fn print_text(text: &str) {
    let mut out = stdout().lock();
    let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else {
        return;
    };
    if error.kind() != ErrorKind::BrokenPipe && LOST.set(error.to_string()).is_ok() {
        say(&format!(
            "note: cannot write to standard output: {error}; the work goes on, and what it prints is lost"
        ));
    }
}

/// To be asked at the end by a program that leaves nothing but what it printed.
///
/// # Errors
///
/// If something of that is lost, but not where a pipe was closed.
pub fn all_printed() -> Result<()> {
    match LOST.get() {
        None => Ok(()),
        Some(why) => bail!("what was printed is not complete: {why}; free some space, or print to somewhere else"),
    }
}
