//! Is the grading fair? The reference solution earns everything, and each mistake costs points where it was made.
//!
//! Both take minutes:
//!
//! ```text
//! cargo test -p grader --test fairness -- --ignored --nocapture --test-threads 1
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grader::checks::Bench;
use grader::release::solutions;
use grader::thresholds::Thresholds;
use grader::{GradeOptions, Grader, Task, calibrate};
use serde::Deserialize;

#[derive(Deserialize)]
struct Mistakes {
    mistake: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    correct: String,
    mistake: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

fn bench() -> Result<Bench> {
    let root = root();
    let thresholds = Thresholds::read(&root.join("grader/thresholds.toml"))?;
    Bench::new(
        0,
        &root.join("data/priors/fruits64"),
        &root.join("grader/hidden"),
        thresholds,
    )
}

/// Without images, on few seeds: quick enough for every run. On 20 seeds with images: `grader calibrate --check-fairness
/// --seeds 20 --first 0`.
#[test]
fn the_reference_earns_all_points_of_formulas_and_samplers() -> Result<()> {
    let faults = calibrate::unfair(&mut bench()?, &Task::ALL, 0..20, false)?;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The exercise in whose solution the first `correct` stands: `3.2`, without the part's letter.
fn exercise_of(source: &str, correct: &str) -> Result<String> {
    let is_it = |lines: &Vec<String>| format!("{}\n", lines.join("\n")).contains(correct);
    let found = solutions(source).into_iter().find(|solution| is_it(&solution.lines));
    let exercise = found
        .with_context(|| format!("`{correct}` stands in no solution"))?
        .exercise;
    Ok(exercise.trim_end_matches(|c: char| c.is_alphabetic()).to_owned())
}

fn mistakes_cost_points(task: Task) -> Result<()> {
    let clock = Instant::now();
    let folder = root().join("tasks").join(task.crate_name());
    let source = fs::read_to_string(folder.join("src/lib.rs"))?;
    let list: Mistakes = toml::from_str(&fs::read_to_string(folder.join("tests/mistakes.toml"))?)?;
    let mut options = GradeOptions::new(&root());
    (options.tasks, options.images) = (vec![task], false);
    sandbox::use_helper(env!("CARGO_BIN_EXE_grader").into(), vec!["sandbox-exec".into()]);
    let grader = Grader::new(options)?;
    let mut unpunished = Vec::new();
    for Mistake { correct, mistake } in &list.mistake {
        let submission = tempfile::tempdir()?;
        let src = submission.path().join(task.crate_name()).join("src");
        fs::create_dir_all(&src)?;
        fs::write(src.join("lib.rs"), source.replacen(correct, mistake, 1))?;
        let report = grader.grade(submission.path(), &mut |_, _| {})?;
        let exercise = exercise_of(&source, correct)?;
        let checks = &report.tasks[0].checks;
        let error = &report.tasks[0].build_error;
        ensure!(
            error.is_none(),
            "`{mistake}` does not compile: {}",
            error.clone().unwrap_or_default()
        );
        let costs = |key: &str| key.starts_with(&format!("{exercise} "));
        if !checks
            .iter()
            .any(|check| costs(&check.key) && check.points < check.out_of)
        {
            unpunished.push(format!("{exercise}: `{mistake}` for `{correct}`"));
        }
    }
    let (count, seconds) = (list.mistake.len(), clock.elapsed().as_secs());
    println!(
        "{}: {} of {count} mistakes cost points, {seconds} s",
        task.crate_name(),
        count - unpunished.len()
    );
    ensure!(unpunished.is_empty(), "{}", unpunished.join("\n"));
    Ok(())
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn each_mistake_in_task_2_costs_points() -> Result<()> {
    mistakes_cost_points(Task::Denoise)
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn each_mistake_in_task_3_costs_points() -> Result<()> {
    mistakes_cost_points(Task::Generate)
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn each_mistake_in_task_4_costs_points() -> Result<()> {
    mistakes_cost_points(Task::Sdedit)
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn each_mistake_in_task_5_costs_points() -> Result<()> {
    mistakes_cost_points(Task::ScoreAld)
}

#[test]
#[ignore = "builds the task once for each mistake: minutes"]
fn each_mistake_in_task_6_costs_points() -> Result<()> {
    mistakes_cost_points(Task::Dps)
}
