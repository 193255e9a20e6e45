//! The mistakes that each task lists in `tests/mistakes.toml`, and the correct variants in `tests/variants.toml`.

use anyhow::{Context, Result, ensure};
use grader::Task;
use serde::Deserialize;

use crate::root;

/// A task lists at least so many mistakes.
const FEWEST: usize = 10;
/// And so many correct variants.
const FEWEST_VARIANTS: usize = 8;

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

#[derive(Deserialize)]
struct Variants {
    variant: Vec<Variant>,
}

/// The solution, written otherwise.
#[derive(Deserialize)]
pub struct Variant {
    /// What is different.
    pub name: String,
    /// What is written in the place of what.
    pub edit: Vec<Edit>,
}

/// A part of a variant.
#[derive(Deserialize)]
pub struct Edit {
    /// What stands in the solution.
    pub correct: String,
    /// What does the same.
    pub other: String,
}

impl Variant {
    /// The solution with all the edits.
    ///
    /// # Errors
    ///
    /// If the solution does not hold what an edit replaces.
    pub fn of(&self, solution: &str) -> Result<String> {
        self.edit.iter().try_fold(solution.to_owned(), |source, edit| {
            let Edit { correct, other } = edit;
            ensure!(
                source.contains(correct),
                "variant `{}`: the solution does not contain `{correct}`",
                self.name
            );
            Ok(source.replacen(correct, other, 1))
        })
    }
}

/// The correct variants of a task.
///
/// # Errors
///
/// If the list is missing or damaged, or too short.
pub fn variants(task: Task) -> Result<Vec<Variant>> {
    let (path, text) = read(task, "variants.toml")?;
    let Variants { variant } = toml::from_str(&text).with_context(|| format!("`{path}`"))?;
    let count = variant.len();
    ensure!(
        count >= FEWEST_VARIANTS,
        "`{path}` lists only {count} variants, expected {FEWEST_VARIANTS} or more"
    );
    Ok(variant)
}

/// A list of a task, and where it is.
fn read(task: Task, name: &str) -> Result<(String, String)> {
    let path = root().join("tasks").join(task.crate_name()).join("tests").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok((path.display().to_string(), text))
}

/// The mistakes of a task.
///
/// # Errors
///
/// If the list is missing or damaged, or too short.
pub fn mistakes(task: Task) -> Result<Vec<Mistake>> {
    let (path, text) = read(task, "mistakes.toml")?;
    let List { mistake } = toml::from_str(&text).with_context(|| format!("`{path}`"))?;
    let count = mistake.len();
    ensure!(
        count >= FEWEST,
        "`{path}` lists only {count} mistakes, expected {FEWEST} or more"
    );
    Ok(mistake)
}
