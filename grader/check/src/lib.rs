//! For students: runs the public tests, and says what passed, what failed and why.
//!
//! The estimate of the points is the share of public tests that pass. The real grading asks more: other inputs, other
//! images, and points for each exercise.

mod cargo;
pub mod list;
pub mod watch;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use program::print;

use crate::cargo::cargo;
use crate::list::{LIST, ListedTask, numbers, read_list};

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

/// Runs the public tests of one task, or of all, and prints a table; pictures of tasks that pass go into `pictures`.
/// Whether all passed.
///
/// # Errors
///
/// No list of tasks here, an unknown task, or cargo is not to be had.
pub fn check(task: Option<&str>, pictures: Option<&Path>) -> Result<bool> {
    let root = workspace()?;
    let list = read_list(&root)?;
    let chosen = choose(&list, task)?;
    let (mut all_passed, mut points, mut most) = (true, 0.0, 0.0);
    for task in chosen {
        let share = check_task(&root, task)?;
        points += share * task.out_of();
        most += task.out_of();
        all_passed &= share == 1.0;
        if let (true, Some(folder)) = (share == 1.0, pictures) {
            draw(&root, task, folder)?;
        }
    }
    print(&format!(
        "\nFirst estimate: {points:.1} of {most:.0} points, by the share of public tests that pass."
    ));
    print("The grading uses other inputs and other images.");
    Ok(all_passed)
}

/// The task that is named, or all.
fn choose<'a>(list: &'a [ListedTask], task: Option<&str>) -> Result<Vec<&'a ListedTask>> {
    let is_chosen = |listed: &&ListedTask| task.is_none_or(|text| listed.is_called(text));
    let chosen: Vec<&ListedTask> = list.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        bail!(
            "`{}` is no task: expected a number from {}, or a name such as {}",
            task.unwrap_or_default(),
            numbers(list),
            list[0].crate_name
        );
    }
    Ok(chosen)
}

/// The workspace around the current folder, else the one that this program was built in.
fn workspace() -> Result<PathBuf> {
    let here = std::env::current_dir().context("there is no current folder")?;
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here
        .ancestors()
        .chain(built_in.ancestors())
        .find(|folder| folder.join(LIST).is_file());
    match found {
        Some(root) => Ok(root.to_owned()),
        None => bail!("no `{LIST}` here or above: run this inside of the course's folder"),
    }
}

/// The share of a task's public tests that pass.
fn check_task(root: &Path, task: &ListedTask) -> Result<f64> {
    let (name, out_of) = (task.crate_name.as_str(), task.out_of());
    let run = cargo(root, name, &["test", "-p", name, "--no-fail-fast", "--lib", "--tests"])?;
    let tests = results(&run.output);
    print(&format!("\n{name}"));
    if tests.is_empty() {
        print(&format!("  It does not compile:\n{}", run.messages));
        return Ok(0.0);
    }
    for test in &tests {
        print(&format!(
            "  {}  {}",
            if test.passed { "passed" } else { "FAILED" },
            test.name.replace('_', " ")
        ));
        for line in test.message.lines() {
            print(&format!("            {line}"));
        }
    }
    for line in slow(&run.messages) {
        print(&format!("  {line}"));
    }
    let passed = tests.iter().filter(|test| test.passed).count();
    let share = if passed == tests.len() && !run.succeeded {
        print(&format!(
            "  a test program ended before it was through, so that tests are missing here:\n{}",
            run.messages
        ));
        0.0
    } else {
        passed as f64 / tests.len() as f64
    };
    print(&format!(
        "  {passed} of {} passed: about {:.1} of {out_of:.0} points",
        tests.len(),
        out_of * share
    ));
    Ok(share)
}

fn draw(root: &Path, task: &ListedTask, folder: &Path) -> Result<()> {
    let name = task.crate_name.as_str();
    // The program runs in the workspace, wherever this one was started.
    let out = std::path::absolute(folder.join(name))?.display().to_string();
    let mut arguments = vec!["run", "-p", name, "--", "--out", &out];
    arguments.extend(task.quick.iter().map(String::as_str));
    let run = cargo(root, &format!("{name}, drawing pictures"), &arguments)?;
    if run.succeeded {
        print(&format!("  pictures: {out}"));
    } else {
        print(&format!("  no pictures, as the program failed:\n{}", run.messages));
    }
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

/// What the tests say of functions that are right but slow: on standard error, as it is no failure.
pub(crate) fn slow(messages: &str) -> impl Iterator<Item = &str> {
    messages.lines().filter(|line| line.starts_with("slow: "))
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
        let output = "running 3 tests\ntest one ... ok\ntest two ... FAILED\ntest slow ... ignored, minutes\n\n\
                      failures:\n\n---- two stdout ----\n\nthread 'two' (1) panicked at tests/a.rs:3:5:\n\
                      not yet implemented: Task 6.1: write it\nnote: run with `RUST_BACKTRACE=1`\n\n\n\
                      failures:\n    two\n\ntest result: FAILED. 1 passed\n";
        let found = results(output);
        assert_eq!(found.len(), 2);
        assert!(found[0].passed && !found[1].passed);
        assert_eq!(found[1].message, "not yet implemented: Task 6.1: write it\n");
        let messages = "   Compiling task6_dps\nslow: f is right, but\n";
        assert_eq!(slow(messages).collect::<Vec<_>>(), ["slow: f is right, but"]);
    }
}
