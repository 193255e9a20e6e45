//! The list of tasks, `tasks/tasks.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Where the list lies in the workspace.
pub const LIST: &str = "tasks/tasks.toml";
/// The points that all tasks have together.
pub const ALL_POINTS: f64 = 100.0;

/// A task, as the list has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedTask {
    /// The lecture's number.
    pub number: u8,
    /// The package, and its folder below `tasks/`.
    #[serde(rename = "crate")]
    pub crate_name: String,
    /// What reports and the handout call it.
    pub title: String,
    /// The file `notebooks/NAME.ipynb`.
    pub notebook: String,
    /// The flags of a short run that draws pictures.
    #[serde(default)]
    pub quick: Vec<String>,
    /// Files below its `src` that are not the student's, besides `main.rs` and `bin/`.
    #[serde(default)]
    pub given: Vec<String>,
    /// The name under which the figures of its images are compared between students, if they are.
    pub leaderboard: Option<String>,
    /// The exercises by number, such as `6.2`; of each the checks, such as `formula`, and their points.
    pub exercises: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    task: Vec<ListedTask>,
}

impl ListedTask {
    /// The points of each check by its key, such as `6.2 formula`.
    pub fn points(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        let of_exercise = |(exercise, checks): (&String, &BTreeMap<String, f64>)| {
            let key = |(name, points): (&String, &f64)| (format!("{exercise} {name}"), *points);
            checks.iter().map(key).collect::<Vec<_>>()
        };
        self.exercises.iter().flat_map(of_exercise)
    }

    /// All its points.
    #[must_use]
    pub fn out_of(&self) -> f64 {
        self.points().map(|(_, points)| points).sum()
    }

    /// Whether a file, by its path below `src`, is the course's and not the student's.
    #[must_use]
    pub fn is_given(&self, file: &str) -> bool {
        file == "main.rs" || file.starts_with("bin/") || self.given.iter().any(|given| given == file)
    }

    /// Whether a person means this task by `text`: its number or the name of its crate.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        let number = self.number.to_string();
        text == self.crate_name || text.strip_prefix("task").unwrap_or(text) == number
    }
}

/// Reads the list from its text, sorted by number.
///
/// # Errors
///
/// If it is damaged, holds no task, or a number or a crate twice.
pub fn parse_list(text: &str) -> Result<Vec<ListedTask>> {
    let List { mut task } = toml::from_str(text).with_context(|| format!("`{LIST}` is damaged"))?;
    task.sort_by_key(|task| task.number);
    ensure!(!task.is_empty(), "`{LIST}` lists no task");
    let (mut numbers, mut crates) = (BTreeSet::new(), BTreeSet::new());
    for ListedTask { number, crate_name, .. } in &task {
        ensure!(
            numbers.insert(*number) && crates.insert(crate_name),
            "`{LIST}` lists task {number} or {crate_name} twice"
        );
    }
    Ok(task)
}

/// Reads the list of the workspace at `root`.
///
/// # Errors
///
/// If it is missing, or as [`parse_list`].
pub fn read_list(root: &Path) -> Result<Vec<ListedTask>> {
    let path = root.join(LIST);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse_list(&text)
}

/// `2 to 6`, for messages.
#[must_use]
pub fn numbers(list: &[ListedTask]) -> String {
    match list {
        [] => "none".into(),
        [only] => only.number.to_string(),
        [first, .., last] => format!("{} to {}", first.number, last.number),
    }
}
