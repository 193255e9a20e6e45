//! The mistakes that each task lists in `tests/mistakes.toml`.

use anyhow::{Context, Result, ensure};
use grader::Task;
use serde::Deserialize;

use crate::root;

/// A task lists at least so many.
const FEWEST: usize = 10;

#[derive(Deserialize)]
struct List {
    mistake: Vec<Mistake>,
}

/// A mistake that a student might make.
#[derive(Deserialize)]
pub struct Mistake {
    /// What stands in the solution.
    pub correct: String,
    /// What a student might have written.
    pub mistake: String,
    /// What the tests must say, in part.
    pub says: String,
}

/// The mistakes of a task.
///
/// # Errors
///
/// If the list is missing or damaged, or too short.
pub fn mistakes(task: Task) -> Result<Vec<Mistake>> {
    let path = root().join("tasks").join(task.crate_name()).join("tests/mistakes.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let List { mistake } = toml::from_str(&text).with_context(|| format!("`{}`", path.display()))?;
    ensure!(
        mistake.len() >= FEWEST,
        "`{}` lists only {} mistakes, expected {FEWEST} or more",
        path.display(),
        mistake.len()
    );
    Ok(mistake)
}
