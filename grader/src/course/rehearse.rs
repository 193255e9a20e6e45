//! A rehearsal of the course: the students' tree compiles, its tests fail where an exercise is not written, and pass
//! with the solutions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::course::release::{release, solutions};
use crate::course::task::Task;

/// Tests of samples and images take long, and say nothing more here.
const LEFT_OUT: [&str; 2] = ["images", "closed_form"];

/// Cuts the students' tree from the one at `root` and tries it; what is wrong with it, a sentence each. Cargo builds in
/// the folder `target`: where most of what the tree stands on is compiled already, it takes minutes.
///
/// # Errors
///
/// If the tree cannot be cut, or cargo cannot be run.
pub fn rehearse(root: &Path, target: &Path) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let stage = Stage {
        root,
        tree: folder.path().join("tree"),
        target,
    };
    release(root, &stage.tree)?;
    let (compiles, text) = stage.cargo(&["build", "--offline", "--workspace", "--all-targets"])?;
    if !compiles {
        return Ok(vec![format!(
            "the students' tree does not compile, mend what cargo says: {text}"
        )]);
    }
    let mut faults = Vec::new();
    for task in Task::all() {
        faults.extend(stage.rehearse_task(task)?);
    }
    Ok(faults)
}

/// Where it happens.
struct Stage<'a> {
    root: &'a Path,
    tree: PathBuf,
    target: &'a Path,
}

impl Stage<'_> {
    fn rehearse_task(&self, task: Task) -> Result<Vec<String>> {
        let source = Path::new("tasks").join(task.crate_name()).join("src/lib.rs");
        let path = source.display();
        let mut faults = Vec::new();
        let (passes, text) = self.test(task)?;
        if passes {
            faults.push(format!(
                "{path}: the task's tests pass without a solution; add tests that fail"
            ));
        }
        for solution in solutions(&fs::read_to_string(self.root.join(&source))?) {
            let message = format!("Task {}: {}", solution.exercise, solution.hint);
            if !text.contains(&message) {
                faults.push(format!(
                    "{path}: no test says `{message}`; add one that calls exercise {}",
                    solution.exercise
                ));
            }
        }
        fs::copy(self.root.join(&source), self.tree.join(&source))?;
        let (passes, text) = self.test(task)?;
        if !passes {
            faults.push(format!(
                "{path}: the task's tests fail with the solution, mend one of them: {text}"
            ));
        }
        Ok(faults)
    }

    /// Runs a task's tests that go through its exercises one by one.
    fn test(&self, task: Task) -> Result<(bool, String)> {
        let mut arguments = vec!["test", "--offline", "-p", task.crate_name(), "--no-fail-fast"];
        let targets = test_targets(&self.tree.join("tasks").join(task.crate_name()).join("tests"))?;
        for name in targets.iter().filter(|name| !LEFT_OUT.contains(&name.as_str())) {
            arguments.extend(["--test", name]);
        }
        arguments.push("--");
        let modules = LEFT_OUT.map(|part| format!("{part}::"));
        for module in &modules {
            arguments.extend(["--skip", module]);
        }
        self.cargo(&arguments)
    }

    /// Runs cargo in the students' tree; whether it succeeded, and what it printed.
    fn cargo(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", self.target)
            .env("RUST_BACKTRACE", "0")
            .output()
            .context("cannot run cargo: is Rust installed, and on the PATH?")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
    }
}

/// The names of the test programs in a folder `tests`: of a file its stem, of a folder with a `main.rs` its name.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn test_targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_target = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let (true, Some(stem)) = (is_target, path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
