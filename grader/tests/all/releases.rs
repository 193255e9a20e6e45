//! The students' tree: nothing of a solution in it, and with the solutions put back everything works.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use grader::Task;
use grader::course::release::{release, solutions};
use walkdir::WalkDir;

use crate::root;

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
    for task in Task::all() {
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
                // Lines such as `}` or `.collect()` are everywhere; what is given beside the solutions may repeat a
                // line.
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
    for mark in [
        "BEGIN SOLUTION 2",
        "BEGIN SOLUTION 6",
        "[[mistake]]",
        "[[variant]]",
        "hidden-0000",
    ] {
        assert!(!text.contains(mark), "`{mark}` is in the students' tree");
    }
    let lists = [
        "tasks/task6_dps/tests/mistakes.toml",
        "tasks/task6_dps/tests/variants.toml",
    ];
    for path in ["grader", "results", ".ci"].into_iter().chain(lists) {
        assert!(!out.path().join(path).exists(), "{path} is in the students' tree");
    }
    for path in [
        "README.md",
        "tasks/tasks.toml",
        "tasks/task6_dps/README.md",
        "check/src/lib.rs",
        "check/src/list.rs",
        "notebooks/6_dps.ipynb",
        "notebooks/kit/src/lib.rs",
    ] {
        assert!(out.path().join(path).is_file(), "{path} is missing");
    }
    for folder in ["methods", "tasks/testing", "tasks/task6_dps/tests"] {
        let is_there = |root: &Path| root.join(folder).is_dir();
        assert_eq!(is_there(out.path()), is_there(&root()), "{folder}");
    }
    let manifest: toml_edit::DocumentMut = fs::read_to_string(out.path().join("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().into_iter().flatten();
    let members: Vec<&str> = members.filter_map(|member| member.as_str()).collect();
    assert!(
        members.contains(&"tasks/*") && members.contains(&"check") && members.contains(&"notebooks/kit"),
        "{members:?}"
    );
    assert!(
        !members
            .iter()
            .any(|member| member.contains("grader") || member.contains("results")),
        "{members:?}"
    );
    assert!(
        release(&root(), out.path()).is_err(),
        "a folder that is not empty was written to"
    );
    Ok(())
}
