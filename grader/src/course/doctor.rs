//! Does the tree agree with itself? One list says which tasks there are; folders, exercises, handouts, notebooks,
//! checks and points have to say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use check::list::{ALL_POINTS, LIST, ListedTask, read_list};
use walkdir::WalkDir;

use crate::bands::thresholds::Thresholds;
use crate::checks::{Check, Kind};
use crate::course::rehearse::rehearse;
use crate::course::release::{cut, solutions};
use crate::course::task::Task;

/// Where the bands are.
const THRESHOLDS: &str = "grader/thresholds.toml";
/// The handouts' section with the table of exercises.
const EXERCISES: &str = "## The exercises";

/// Whether the students' tree is cut, built and tested as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Files are only read: seconds.
    No,
    /// Unsolved exercises have to fail and solved ones to pass: minutes.
    Yes,
}

/// Looks at the tree at `root`; each finding is a sentence with the file and what to do.
///
/// # Errors
///
/// If a rehearsal was asked for and cannot be made.
pub fn examine(root: &Path, build: Build) -> Result<Vec<String>> {
    let list = match read_list(root) {
        Ok(list) => list,
        Err(error) => return Ok(vec![format!("{error:#}; mend it first, all else is compared with it.")]),
    };
    let mut findings = Findings {
        root,
        found: Vec::new(),
    };
    findings.folders(&list);
    for task in &list {
        findings.names(task);
        findings.exercises(task);
        findings.handout(task);
        findings.notebook(task);
        findings.checks(task);
    }
    findings.points(&list);
    if findings.found.is_empty() && build == Build::Yes {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        findings.found = rehearse(root, &target)?;
    }
    Ok(findings.found)
}

/// What was found so far.
struct Findings<'a> {
    root: &'a Path,
    found: Vec<String>,
}

impl Findings<'_> {
    fn add(&mut self, sentence: String) {
        self.found.push(sentence);
    }

    /// A file's text; where it cannot be read, that is found.
    fn read(&mut self, path: &str) -> Option<String> {
        match fs::read_to_string(self.root.join(path)) {
            Ok(text) => Some(text),
            Err(error) => {
                self.add(format!(
                    "`{path}` cannot be read ({error}): add it, or take the task out of `{LIST}`."
                ));
                None
            }
        }
    }

    /// Each folder that is named like a task is in the list.
    fn folders(&mut self, list: &[ListedTask]) {
        for name in names_in(&self.root.join("tasks")) {
            let is_task = name
                .strip_prefix("task")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if is_task && list.iter().all(|task| task.crate_name != name) {
                self.add(format!(
                    "`tasks/{name}` is not in `{LIST}`: add a stanza for it, or remove the folder."
                ));
            }
        }
    }

    /// The number is the one in the names of crate, package and exercises, and the grader was built with this list.
    fn names(&mut self, task: &ListedTask) {
        let (number, name) = (task.number, &task.crate_name);
        if !name.starts_with(&format!("task{number}_")) {
            self.add(format!(
                "`{LIST}` gives number {number} to {name}: call the crate task{number}_NAME, or correct the number."
            ));
        }
        let manifest = format!("tasks/{name}/Cargo.toml");
        if let Some(text) = self.read(&manifest)
            && !text.contains(&format!("name = \"{name}\""))
        {
            self.add(format!("`{manifest}` names another package than {name}: rename it."));
        }
        for exercise in task.exercises.keys() {
            if !exercise.starts_with(&format!("{number}.")) {
                self.add(format!(
                    "`{LIST}` lists exercise {exercise} in task {number}: move it, or correct its number."
                ));
            }
        }
        let built_with = Task::of_number(number).map(Task::listed);
        if built_with.is_none_or(|listed| listed != task) {
            self.add(format!(
                "`{LIST}` says other things of task {number} than when this program was built: build it anew."
            ));
        }
    }

    /// The solutions between markers are those of the listed exercises.
    fn exercises(&mut self, task: &ListedTask) {
        let src = format!("tasks/{}/src", task.crate_name);
        let mut marked = BTreeSet::new();
        for file in rust_files(&self.root.join(&src)) {
            let path = format!("{src}/{file}");
            let Some(text) = self.read(&path) else { continue };
            if let Err(error) = cut(&text) {
                self.add(format!(
                    "`{path}`: {error:#}; put `// BEGIN SOLUTION NUMBER HINT` before and `// END SOLUTION` after each."
                ));
            }
            marked.extend(
                solutions(&text)
                    .into_iter()
                    .map(|solution| whole(&solution.exercise).to_owned()),
            );
        }
        self.compare(&format!("`{src}`"), "a solution between markers", task, &marked);
    }

    /// The handout's heading, and the rows of its tables that begin with an exercise's number.
    fn handout(&mut self, task: &ListedTask) {
        let path = format!("tasks/{}/README.md", task.crate_name);
        let Some(text) = self.read(&path) else { return };
        let heading = format!("# Task {}: {}", task.number, task.title);
        if text.lines().next() != Some(&heading) {
            self.add(format!(
                "`{path}` does not begin with `{heading}`: correct it, or the title in `{LIST}`."
            ));
        }
        let start = text.find(EXERCISES).unwrap_or(text.len());
        let section = text[start..].split("\n## ").next().unwrap_or_default();
        let rows = section
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let of_task = format!("{}.", task.number);
        let rows: BTreeSet<String> = rows
            .filter(|cell| cell.starts_with(&of_task))
            .map(str::to_owned)
            .collect();
        self.compare(&format!("`{path}`"), "a row of the table of exercises", task, &rows);
    }

    /// The notebook is there and calls the task's functions.
    fn notebook(&mut self, task: &ListedTask) {
        let path = format!("notebooks/{}.ipynb", task.notebook);
        if let Some(text) = self.read(&path)
            && !text.contains(&task.crate_name)
        {
            self.add(format!(
                "`{path}` names nothing of {}: call its functions, or name another notebook in `{LIST}`.",
                task.crate_name
            ));
        }
    }

    /// The grader has the checks that the list gives points to, and the worker that they ask.
    fn checks(&mut self, task: &ListedTask) {
        let number = task.number;
        let here: BTreeSet<String> = Task::of_number(number)
            .map(Check::of_task)
            .into_iter()
            .flatten()
            .map(|check| check.key())
            .collect();
        let listed: BTreeSet<String> = task.points().map(|(key, _)| key).collect();
        for key in listed.difference(&here) {
            self.add(format!(
                "`grader/src/checks/task{number}.rs` has no check \"{key}\": write it, and see that the table in \
                 `grader/src/checks/mod.rs` has task {number}, or take it out of `{LIST}`."
            ));
        }
        for key in here.difference(&listed) {
            self.add(format!(
                "`{LIST}` gives no points to \"{key}\" of `grader/src/checks/task{number}.rs`: add them."
            ));
        }
        for path in [
            format!("grader/worker/src/task{number}.rs"),
            format!("tasks/{}/tests/mistakes.toml", task.crate_name),
            format!("tasks/{}/tests/variants.toml", task.crate_name),
        ] {
            self.read(&path);
        }
    }

    /// The points add up, also with those of the thresholds, and there are bands for the checks on images and no
    /// others.
    fn points(&mut self, list: &[ListedTask]) {
        let defaults: BTreeMap<String, f64> = list.iter().flat_map(ListedTask::points).collect();
        let sum: f64 = defaults.values().sum();
        let Some(text) = self.read(THRESHOLDS) else { return };
        let thresholds: Thresholds = match toml::from_str(&text) {
            Ok(thresholds) => thresholds,
            Err(error) => return self.add(format!("`{THRESHOLDS}` is damaged, mend it: {error}")),
        };
        if thresholds.points.is_empty() && (sum - ALL_POINTS).abs() > 1e-9 {
            self.add(format!(
                "the points in `{LIST}` add up to {sum}, expected {ALL_POINTS}: give other points."
            ));
        } else {
            for fault in thresholds.wrong_points(&defaults) {
                self.add(format!("`{THRESHOLDS}`: {fault}."));
            }
        }
        let of_images = |check: &Check| matches!(check.kind, Kind::Images(_));
        let images: BTreeSet<String> = Task::all()
            .into_iter()
            .flat_map(Check::of_task)
            .filter(of_images)
            .map(|check| check.key())
            .collect();
        for key in images.iter().filter(|key| !thresholds.bands.contains_key(*key)) {
            self.add(format!(
                "`{THRESHOLDS}` has no bands for \"{key}\": run `grader calibrate`."
            ));
        }
        for key in thresholds.bands.keys().filter(|key| !images.contains(*key)) {
            self.add(format!(
                "`{THRESHOLDS}` has bands for \"{key}\", which is no check on images: remove them."
            ));
        }
    }

    /// What is missing of the listed exercises, and what is there besides.
    fn compare(&mut self, file: &str, what: &str, task: &ListedTask, there: &BTreeSet<String>) {
        let listed: BTreeSet<String> = task.exercises.keys().cloned().collect();
        for exercise in listed.difference(there) {
            self.add(format!(
                "{file} lacks {what} for exercise {exercise}: add it, or take the exercise out of `{LIST}`."
            ));
        }
        for exercise in there.difference(&listed) {
            self.add(format!(
                "`{LIST}` lacks exercise {exercise}, for which {file} has {what}: add it, with its checks and points."
            ));
        }
    }
}

/// An exercise without the letter of its part: `3.2` of `3.2a`.
fn whole(exercise: &str) -> &str {
    exercise.trim_end_matches(|c: char| c.is_alphabetic())
}

/// The names of what is in a folder, sorted; none where it cannot be read.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The paths of all Rust sources below a folder, relative to it, sorted.
fn rust_files(folder: &Path) -> Vec<String> {
    let files = WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let paths = files.filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_str()?.to_owned()));
    paths.filter(|path| path.ends_with(".rs")).collect()
}
