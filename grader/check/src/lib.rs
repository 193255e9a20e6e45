//! For students: runs the public tests, and says what passed, what failed and why.
//!
//! The estimate of the points is the share of public tests that pass. The real grading asks more: other inputs, other images,
//! and points for each exercise.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

/// The tasks, with the flags of a short run that draws pictures.
const TASKS: [(&str, &[&str]); 5] = [
    ("task2_denoise", &[]),
    ("task3_generate", &["--count", "4", "--steps", "60"]),
    ("task4_sdedit", &["--steps", "60", "--count", "2"]),
    ("task5_score_ald", &["--steps", "100", "--count", "2"]),
    ("task6_dps", &["--steps", "60", "--count", "2"]),
];
/// The points of a task.
const POINTS: f64 = 20.0;

/// What came of one public test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What it said, if it failed.
    pub message: String,
}

/// Runs the public tests of one task, or of all, and prints a table; pictures of tasks that pass go into `pictures`. Whether
/// all passed.
///
/// # Errors
/// An unknown task, or cargo is not to be had.
pub fn check(task: Option<&str>, pictures: Option<&Path>) -> Result<bool> {
    let is_it = |name: &str, text: &str| name == text || name.starts_with(&format!("task{text}_"));
    let chosen: Vec<_> = TASKS
        .iter()
        .filter(|(name, _)| task.is_none_or(|text| is_it(name, text)))
        .collect();
    if chosen.is_empty() {
        bail!(
            "`{}` is no task: expected a number from 2 to 6, or a name such as task6_dps",
            task.unwrap_or_default()
        );
    }
    let (mut all_passed, mut points) = (true, 0.0);
    for (name, flags) in &chosen {
        let passed = check_task(name, &mut points)?;
        all_passed &= passed;
        if let (true, Some(folder)) = (passed, pictures) {
            draw(name, flags, folder)?;
        }
    }
    let most = POINTS * chosen.len() as f64;
    println!("\nFirst estimate: {points:.1} of {most:.0} points, by the share of public tests that pass.");
    println!("The grading uses other inputs and other images.");
    Ok(all_passed)
}

fn check_task(name: &str, points: &mut f64) -> Result<bool> {
    let bar = ProgressBar::new_spinner().with_message(format!("{name}: building and testing"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let output = cargo(&["test", "-p", name, "--no-fail-fast", "--lib", "--tests"])?;
    bar.finish_and_clear();
    let (tests, compiler) = (results(&output.0), output.1);
    println!("\n{name}");
    if tests.is_empty() {
        println!("  It does not compile:\n{compiler}");
        return Ok(false);
    }
    for test in &tests {
        println!(
            "  {}  {}",
            if test.passed { "passed" } else { "FAILED" },
            test.name.replace('_', " ")
        );
        for line in test.message.lines() {
            println!("            {line}");
        }
    }
    let passed = tests.iter().filter(|test| test.passed).count();
    let share = passed as f64 / tests.len() as f64;
    *points += POINTS * share;
    println!(
        "  {passed} of {} passed: about {:.1} of {POINTS:.0} points",
        tests.len(),
        POINTS * share
    );
    Ok(passed == tests.len())
}

/// Standard output and standard error of cargo.
fn cargo(arguments: &[&str]) -> Result<(String, String)> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo: is Rust installed, and on the PATH?")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(output.stdout), text(output.stderr)))
}

fn draw(name: &str, flags: &[&str], folder: &Path) -> Result<()> {
    let bar = ProgressBar::new_spinner().with_message(format!("{name}: drawing pictures"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let out = folder.join(name).display().to_string();
    let mut arguments = vec!["run", "-p", name, "--", "--out", &out];
    arguments.extend(flags);
    cargo(&arguments)?;
    bar.finish_and_clear();
    println!("  pictures: {out}");
    Ok(())
}

/// Reads what `cargo test` prints: a line for each test, and a section for each that failed.
#[must_use]
pub fn results(output: &str) -> Vec<TestResult> {
    let mut tests: Vec<TestResult> = Vec::new();
    let mut section: Option<usize> = None;
    for line in output.lines() {
        let name = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            section = tests.iter().rposition(|test| test.name == name);
        } else if line == "failures:" || line.starts_with("test result:") {
            section = None;
        } else if let Some(test) = verdict(line) {
            tests.push(test);
        } else if let Some(test) = section.and_then(|index| tests.get_mut(index))
            && is_said(line)
        {
            test.message.push_str(line);
            test.message.push('\n');
        }
    }
    tests
}

/// `test NAME ... ok`
fn verdict(line: &str) -> Option<TestResult> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let passed = match verdict.trim() {
        "ok" => true,
        "FAILED" => false,
        _ => return None,
    };
    Some(TestResult {
        name: name.into(),
        passed,
        message: String::new(),
    })
}

/// Whether a line of a failed test says something of its own.
fn is_said(line: &str) -> bool {
    let noise = ["thread '", "note: run with"];
    !line.trim().is_empty() && !noise.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_cargo_is_understood() {
        let output = "running 3 tests\ntest one ... ok\ntest two ... FAILED\ntest slow ... ignored, minutes\n\nfailures:\n\n\
                      ---- two stdout ----\n\nthread 'two' (1) panicked at tests/a.rs:3:5:\nnot yet implemented: Task 6.1: \
                      write it\nnote: run with `RUST_BACKTRACE=1`\n\n\nfailures:\n    two\n\ntest result: FAILED. 1 passed\n";
        let found = results(output);
        assert_eq!(found.len(), 2);
        assert!(found[0].passed && !found[1].passed);
        assert_eq!(found[1].message, "not yet implemented: Task 6.1: write it\n");
    }
}
