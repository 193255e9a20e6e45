//! The students' tree: nothing of a solution in it, and with the solutions put back everything works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use grader::Task;
use grader::release::{release, solutions};
use walkdir::WalkDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

fn source(root: &Path, task: Task) -> PathBuf {
    root.join("tasks").join(task.crate_name()).join("src/lib.rs")
}

/// Everything that is text in the tree, the lock file aside.
fn all_text(tree: &Path) -> String {
    let files = WalkDir::new(tree)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    let texts = files
        .filter(|entry| entry.file_name() != "Cargo.lock")
        .map(|entry| fs::read_to_string(entry.path()));
    texts.flatten().collect::<Vec<_>>().join("\n")
}

#[test]
fn no_line_of_a_solution_and_nothing_hidden_is_in_the_students_tree() -> Result<()> {
    let out = tempfile::tempdir()?;
    release(&root(), out.path())?;
    for task in Task::ALL {
        let (whole, cut) = (
            fs::read_to_string(source(&root(), task))?,
            fs::read_to_string(source(out.path(), task))?,
        );
        let solved = solutions(&whole);
        assert!(!solved.is_empty(), "{} has no solution markers", task.crate_name());
        for solution in solved {
            assert!(
                cut.contains(&format!("todo!(\"Task {}: ", solution.exercise)),
                "{} lacks its todo",
                solution.exercise
            );
            for line in solution
                .lines
                .iter()
                .map(|line| line.trim())
                .filter(|line| !line.is_empty())
            {
                // Lines such as `}` or `.collect()` are everywhere; what is given beside the solutions may repeat a line.
                let outside = whole.replace(&solution.lines.join("\n"), "");
                let is_telling = line.len() > 12 && !outside.contains(line);
                assert!(
                    !is_telling || !cut.contains(line),
                    "{}: `{line}` is still there",
                    solution.exercise
                );
            }
        }
    }
    let text = all_text(out.path());
    for mark in ["BEGIN SOLUTION 2", "BEGIN SOLUTION 6", "[[mistake]]", "hidden-0000"] {
        assert!(!text.contains(mark), "`{mark}` is in the students' tree");
    }
    for path in [
        "grader",
        "results",
        ".ci",
        "tasks/task6_dps/tests/mistakes.toml",
        "shared/checks/tests/mistakes.rs",
    ] {
        assert!(!out.path().join(path).exists(), "{path} is in the students' tree");
    }
    for path in [
        "README.md",
        "tasks/task6_dps/README.md",
        "tasks/task6_dps/tests/all/formulas.rs",
        "check/src/lib.rs",
        "notebooks/6_dps.ipynb",
        "notebooks/kit/src/lib.rs",
    ] {
        assert!(out.path().join(path).is_file(), "{path} is missing");
    }
    assert!(
        release(&root(), out.path()).is_err(),
        "a folder that is not empty was written to"
    );
    Ok(())
}

/// Runs cargo in a tree; whether it succeeded, and what it printed. It builds in this workspace's target folder, where most
/// of the libraries that the tree stands on are compiled already.
fn cargo(tree: &Path, arguments: &[&str]) -> Result<(bool, String)> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .context("a target folder")?;
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .env("RUST_BACKTRACE", "0")
        .output()
        .context("cargo runs")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
}

/// The test files that go through a task's exercises one by one; those of samples and images take longer, and say nothing more here.
fn exercise_tests(task: Task) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("tasks").join(task.crate_name()).join("tests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.retain(|name| name != "images" && name != "closed_form");
    Ok(names)
}

/// Takes long, because it builds the tree:
///
/// ```text
/// cargo test -p grader --test releases -- --ignored
/// ```
#[test]
#[ignore = "builds the students' tree: minutes"]
fn the_cut_tree_compiles_each_exercise_says_so_and_the_reference_brings_it_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    release(&root(), &tree)?;
    let (compiles, text) = cargo(&tree, &["build", "--offline", "--workspace", "--all-targets"])?;
    ensure!(compiles, "the cut tree does not compile: {text}");
    for task in Task::ALL {
        let tests = exercise_tests(task)?;
        let mut arguments = vec!["test", "--offline", "-p", task.crate_name(), "--no-fail-fast"];
        arguments.extend(tests.iter().flat_map(|name| ["--test", name]));
        let (passes, text) = cargo(&tree, &arguments)?;
        ensure!(!passes, "the tests of {} pass without a solution", task.crate_name());
        for solution in solutions(&fs::read_to_string(source(&root(), task))?) {
            let message = format!("Task {}: {}", solution.exercise, solution.hint);
            ensure!(text.contains(&message), "no test says `{message}`: {text}");
        }
        fs::copy(source(&root(), task), source(&tree, task))?;
        let (passes, text) = cargo(&tree, &arguments)?;
        ensure!(
            passes,
            "the tests of {} fail with the reference: {text}",
            task.crate_name()
        );
    }
    Ok(())
}
