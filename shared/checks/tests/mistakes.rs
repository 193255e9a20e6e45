//! Do the public tests name the mistake? Each task lists plausible ones in `tests/mistakes.toml`; here they are made in
//! the reference solution, one at a time, and the task's tests must fail and say what is wrong.
//!
//! It builds a task some dozens of times (minutes in all), so it runs only when asked for:
//!
//! ```text
//! cargo test -p checks --test mistakes -- --ignored --nocapture
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

use serde::Deserialize;

/// The crates that a task's `src/lib.rs` and its formula tests stand on.
const SHARED: [&str; 3] = ["diffusion", "imaging", "checks"];
/// What they may depend on; the copy is built without the rest.
const DEPENDENCIES: [&str; 8] = [
    "diffusion",
    "imaging",
    "checks",
    "testing",
    "anyhow",
    "ndarray",
    "ndarray-rand",
    "rand",
];
/// Parts of a task that need the rest.
const LEFT_OUT: [&str; 4] = ["src/main.rs", "src/edit.rs", "tests/images.rs", "examples"];

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

/// A small workspace, under `target/`: the crates that the tasks stand on, and one task at a time.
struct Copy {
    folder: PathBuf,
    task: String,
    solution: String,
}

impl Copy {
    fn new(task: &str) -> Self {
        static SHARED_CRATES: Once = Once::new();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
        SHARED_CRATES.call_once(|| copy_shared(&folder));
        let task_folder = folder.join("tasks").join(task);
        let _ = fs::remove_dir_all(folder.join("tasks"));
        for crate_name in ["testing", task] {
            copy_folder(
                &root().join("tasks").join(crate_name),
                &folder.join("tasks").join(crate_name),
            );
        }
        for part in LEFT_OUT.map(|part| task_folder.join(part)) {
            let _ = fs::remove_file(&part).or_else(|_| fs::remove_dir_all(&part));
        }
        drop_dependencies(&task_folder.join("Cargo.toml"));
        Self {
            solution: read(&task_folder.join("src/lib.rs")),
            folder,
            task: task.into(),
        }
    }

    /// Runs the task's tests on `source`; whether they passed, and what they said, on one line.
    fn test(&self, source: &str) -> (bool, String) {
        fs::write(self.folder.join("tasks").join(&self.task).join("src/lib.rs"), source).expect("a writable folder");
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
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
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

/// The shared crates, the manifest without what the copy lacks, and the lock file.
fn copy_shared(folder: &Path) {
    for name in SHARED {
        copy_folder(&root().join("shared").join(name), &folder.join("shared").join(name));
        // Its own tests are not run here, and would be copied into themselves.
        let _ = fs::remove_dir_all(folder.join("shared").join(name).join("tests"));
    }
    let is_members = |line: &&str| line.starts_with("members = ");
    let text = read(&root().join("Cargo.toml"));
    let members = text.lines().find(is_members).expect("the workspace lists its members");
    let manifest = text.replace(members, "members = [\"shared/*\", \"tasks/*\"]");
    // The profiles of crates that the copy lacks come last.
    let manifest = manifest
        .split("[profile.dev.package.kernels]")
        .next()
        .unwrap_or_default();
    fs::write(folder.join("Cargo.toml"), manifest).expect("a writable folder");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the workspace has a lock file");
}

fn drop_dependencies(manifest: &Path) {
    let text = read(manifest);
    let (package, dependencies) = text.split_once("[dependencies]").expect("the task has dependencies");
    // Features are those of dependencies that go.
    let package = package.split("[features]").next().unwrap_or_default();
    let is_kept = |line: &&str| match line.split_once(".workspace = true") {
        Some((name, _)) => DEPENDENCIES.contains(&name),
        None => true,
    };
    let kept: Vec<&str> = dependencies.lines().filter(is_kept).collect();
    fs::write(manifest, format!("{package}[dependencies]{}\n", kept.join("\n"))).expect("a writable folder");
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
    // One at a time: they share a folder. After a failure the others still run.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn the_tests_of_task_4_name_every_mistake() {
    check_task("task4_sdedit");
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn the_tests_of_task_5_name_every_mistake() {
    check_task("task5_score_ald");
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn the_tests_of_task_6_name_every_mistake() {
    check_task("task6_dps");
}
