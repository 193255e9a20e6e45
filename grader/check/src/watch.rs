//! Tests a task again whenever a file of it is saved, and shows the first thing that is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use program::print;

use crate::cargo::cargo;
use crate::list::{ListedTask, read_list};
use crate::{TestResult, choose, results, slow, workspace};

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(300);
/// So many lines of the compiler's first error are shown.
const LINES_OF_AN_ERROR: usize = 30;

/// Tests the task now and after every save, until it is stopped (Ctrl-C).
///
/// # Errors
///
/// No list of tasks here, an unknown task, or cargo is not to be had.
pub fn watch(task: Option<&str>) -> Result<()> {
    let root = workspace()?;
    let list = read_list(&root)?;
    let [task] = choose(&list, task)?[..] else {
        bail!("--watch is for one task: name it, such as {}", list[0].crate_name);
    };
    let folder = root.join("tasks").join(&task.crate_name);
    loop {
        // From before the tests, so that what is saved while they run is tested as well.
        let seen = newest(&folder);
        print(&format!("\n{}", verdict(&root, task)?));
        let folder_name = &task.crate_name;
        print(&format!(
            "\nwaiting for the next save in tasks/{folder_name} (Ctrl-C ends)"
        ));
        while newest(&folder) == seen {
            thread::sleep(PAUSE);
        }
    }
}

/// The number of source files below a folder, and when the newest was changed: another after each save.
fn newest(folder: &Path) -> (usize, Option<SystemTime>) {
    let times: Vec<SystemTime> = sources(folder)
        .iter()
        .filter_map(|path| fs::metadata(path).and_then(|about| about.modified()).ok())
        .collect();
    (times.len(), times.into_iter().max())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The first thing that is wrong: the compiler's first error, else the first test that fails, those of formulas and
/// samplers before those of images, which take longer.
fn verdict(root: &Path, task: &ListedTask) -> Result<String> {
    let name = task.crate_name.as_str();
    let mut said = format!("All public tests of {name} pass.");
    for target in ["all", "images"] {
        let run = cargo(root, name, &["test", "-p", name, "--test", target])?;
        let tests = results(&run.output);
        if tests.is_empty() {
            return Ok(format!("It does not compile.\n\n{}", first_error(&run.messages)));
        }
        if let Some(text) = first_failure(tests) {
            return Ok(text);
        }
        if !run.succeeded {
            return Ok(format!(
                "a test program ended before it was through:\n{}",
                first_error(&run.messages)
            ));
        }
        slow(&run.messages).for_each(|line| said.push_str(&format!("\n{line}")));
    }
    Ok(said)
}

/// The first in the order of their names, which is that of the exercises, and how many there are.
fn first_failure(mut tests: Vec<TestResult>) -> Option<String> {
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    let failed = tests.iter().filter(|test| !test.passed).count();
    let first = tests.iter().find(|test| !test.passed)?;
    let name = first.name.replace("::", ": ").replace('_', " ");
    Some(format!(
        "{failed} of {} tests fail. The first: {name}\n\n{}",
        tests.len(),
        first.message.trim_end()
    ))
}

/// From the first line that begins with `error` to the empty line after it.
fn first_error(messages: &str) -> String {
    let lines = messages.lines().skip_while(|line| !line.starts_with("error"));
    let of_error = lines.take_while(|line| !line.trim().is_empty());
    of_error.take(LINES_OF_AN_ERROR).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_error_is_shown() {
        let messages = "   Compiling a\nwarning: unused\n\nerror[E0308]: mismatched types\n --> src/lib.rs:3:5\n\n\
                        error: could not compile\n";
        assert_eq!(
            first_error(messages),
            "error[E0308]: mismatched types\n --> src/lib.rs:3:5"
        );
    }

    #[test]
    fn the_first_failure_is_that_of_the_first_exercise() {
        let test = |name: &str, passed| TestResult {
            name: name.into(),
            passed,
            message: format!("about {name}"),
        };
        let tests = vec![test("b::loop", false), test("a::step", false), test("a::first", true)];
        let text = first_failure(tests).unwrap_or_default();
        assert!(
            text.starts_with("2 of 3 tests fail. The first: a: step\n\nabout a::step"),
            "{text}"
        );
        assert_eq!(first_failure(vec![test("a", true)]), None);
    }

    #[test]
    fn a_save_is_noticed() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("src"))?;
        let file = folder.path().join("src/lib.rs");
        let before = newest(folder.path());
        fs::write(&file, "")?;
        let written = newest(folder.path());
        assert_ne!(before, written);
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().append(true).open(&file)?.set_modified(later)?;
        assert_ne!(newest(folder.path()), written);
        Ok(())
    }
}
