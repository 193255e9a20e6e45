//! Runs cargo, and says meanwhile what it is at and for how long.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

/// What became of a call of cargo.
pub(crate) struct Run {
    pub(crate) succeeded: bool,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) messages: String,
}

/// Runs cargo in the workspace; a line on the terminal tells what it does, after `what`.
pub(crate) fn cargo(root: &Path, what: &str, arguments: &[&str]) -> Result<Run> {
    let mut child = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(root)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo: is Rust installed, and on the PATH?")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let stderr = child.stderr.take().context("cargo has no standard error")?;
    let bar = spinner(what);
    let reader = thread::spawn(move || read_all(stdout));
    let messages = follow(stderr, &bar, what);
    let output = reader.join().map_err(|_| anyhow!("cannot read what cargo prints"))?;
    let status = child.wait().context("cannot wait for cargo")?;
    bar.finish_and_clear();
    Ok(Run {
        succeeded: status.success(),
        output,
        messages,
    })
}

/// With the seconds since it began.
fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(format!("{what}: asking cargo"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is worth showing.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads cargo's messages to their end, and shows on the way what each says that it does.
fn follow(from: impl Read, bar: &ProgressBar, what: &str) -> String {
    let mut messages = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        if let Some(stage) = stage(&text) {
            bar.set_message(format!("{what}: {stage}"));
        }
        messages.push_str(&text);
        line.clear();
    }
    messages
}

/// What cargo does from this line of its messages on.
fn stage(line: &str) -> Option<String> {
    let line = line.trim();
    let mut words = line.split_whitespace();
    match words.next()? {
        "Blocking" => Some("waits until another cargo is done".into()),
        "Downloading" => Some("downloading".into()),
        "Compiling" => Some(format!("building {}", words.next()?)),
        "Finished" => Some("built".into()),
        "Running" => Some("testing".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_say_what_it_does() {
        let told = |line: &str| stage(line).unwrap_or_default();
        assert_eq!(
            told("    Blocking waiting for file lock on build directory"),
            "waits until another cargo is done"
        );
        assert_eq!(told("   Compiling task6_dps v0.1.0 (/home)"), "building task6_dps");
        assert_eq!(
            told("     Running tests/all/main.rs (target/debug/deps/all-1)"),
            "testing"
        );
        assert_eq!(stage("error[E0308]: mismatched types"), None);
    }

    #[test]
    fn all_that_cargo_says_is_kept() {
        let said = "   Compiling a v1\nwarning: b\n";
        assert_eq!(follow(said.as_bytes(), &ProgressBar::hidden(), "test"), said);
    }
}
