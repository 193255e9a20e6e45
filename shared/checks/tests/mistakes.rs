//! Do the public tests name the mistake? Each task lists plausible ones in `tests/mistakes.toml`; here they are made in the
//! reference solution, one at a time, and the task's tests must fail and say what is wrong.
//!
//! It builds a task some dozens of times (minutes in all), so it runs only when asked for:
//!
//! ```text
//! cargo test -p checks --test mistakes -- --ignored --nocapture
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// What a task's `src/lib.rs` and formula tests may depend on; the copy is built without the rest.
const DEPENDENCIES: [&str; 5] = ["diffusion", "ndarray", "ndarray-rand", "rand", "checks"];
/// Files that need the rest.
const LEFT_OUT: [&str; 2] = ["src/main.rs", "tests/images.rs"];

#[derive(Deserialize)]
struct Mistakes {
    mistake: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    /// What stands in the solution.
    correct: String,
    /// What a student might have written.
    mistake: String,
    /// What the tests must say, in part.
    says: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the workspace has a root")
        .to_owned()
}

/// A workspace of one task and the two crates that its solution and its tests stand on.
struct Copy {
    folder: tempfile::TempDir,
    task: String,
    solution: String,
}

impl Copy {
    fn new(task: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for part in ["shared/diffusion", "shared/checks", &format!("tasks/{task}")] {
            copy_folder(&root().join(part), &folder.path().join(part));
        }
        for name in LEFT_OUT {
            fs::remove_file(folder.path().join("tasks").join(task).join(name)).expect("the task has this file");
        }
        let manifest = read(&root().join("Cargo.toml"));
        // The profiles of crates that the copy lacks come last.
        let manifest = manifest
            .split("[profile.dev.package.kernels]")
            .next()
            .unwrap_or_default();
        fs::write(folder.path().join("Cargo.toml"), manifest).expect("a writable folder");
        fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("the workspace has a lock file");
        let solution = read(&root().join("tasks").join(task).join("src/lib.rs"));
        let copy = Self {
            folder,
            task: task.into(),
            solution,
        };
        copy.drop_dependencies();
        copy
    }

    fn task_folder(&self) -> PathBuf {
        self.folder.path().join("tasks").join(&self.task)
    }

    fn drop_dependencies(&self) {
        let path = self.task_folder().join("Cargo.toml");
        let manifest = read(&path);
        let (package, dependencies) = manifest
            .split_once("[dependencies]")
            .expect("the task has dependencies");
        let is_kept = |line: &&str| match line.split_once(".workspace = true") {
            Some((name, _)) => DEPENDENCIES.contains(&name),
            None => true,
        };
        let kept: Vec<&str> = dependencies.lines().filter(is_kept).collect();
        fs::write(path, format!("{package}[dependencies]{}\n", kept.join("\n"))).expect("a writable folder");
    }

    /// Runs the task's tests on `source`; whether they passed, and what they said, on one line.
    fn test(&self, source: &str) -> (bool, String) {
        fs::write(self.task_folder().join("src/lib.rs"), source).expect("a writable folder");
        let output = Command::new(env!("CARGO"))
            .args([
                "test",
                "--quiet",
                "--offline",
                "--no-fail-fast",
                "-p",
                &self.task,
                "--tests",
            ])
            .current_dir(self.folder.path())
            .env("CARGO_TARGET_DIR", self.folder.path().join("target"))
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains("could not compile"), "this does not compile: {text}");
        (
            output.status.success(),
            text.split_whitespace().collect::<Vec<_>>().join(" "),
        )
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a readable file");
        }
    }
}

fn check_task(task: &str) {
    let copy = Copy::new(task);
    let list = read(&root().join("tasks").join(task).join("tests/mistakes.toml"));
    let list: Mistakes = toml::from_str(&list).unwrap_or_else(|error| panic!("{task}/tests/mistakes.toml: {error}"));
    let count = list.mistake.len();
    assert!(count >= 10, "{task} lists only {count} mistakes, expected ten or more");
    let (passed, text) = copy.test(&copy.solution);
    assert!(passed, "the tests of {task} fail on the reference solution: {text}");

    let mut missed = Vec::new();
    for Mistake { correct, mistake, says } in &list.mistake {
        assert!(
            copy.solution.contains(correct),
            "the solution of {task} does not contain `{correct}`"
        );
        let (passed, text) = copy.test(&copy.solution.replacen(correct, mistake, 1));
        if passed {
            missed.push(format!("`{mistake}` for `{correct}`: the tests pass"));
        } else if says.is_empty() || !text.contains(says) {
            missed.push(format!(
                "`{mistake}` for `{correct}`: nothing says `{says}`, but: {text}"
            ));
        }
    }
    println!("{task}: {} of {count} mistakes are named", count - missed.len());
    assert!(missed.is_empty(), "{task}:\n{}", missed.join("\n\n"));
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn the_tests_of_task_2_name_every_mistake() {
    check_task("task2_denoise");
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn the_tests_of_task_3_name_every_mistake() {
    check_task("task3_generate");
}
