//! Is the grading fair? Each mistake costs points where it was made, and where it is one of a sampler's, the report
//! names its cause in the words of the public tests.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grader::course::release::solutions;
use grader::{GradeOptions, Grader, Task};

use crate::list::{Mistake, mistakes};
use crate::part::Part;
use crate::{chosen_tasks, root, use_helper};

/// The exercise in whose solution the first `correct` stands: `3.2`, without the part's letter.
fn exercise_of(source: &str, correct: &str) -> Result<String> {
    let is_it = |lines: &Vec<String>| format!("{}\n", lines.join("\n")).contains(correct);
    let found = solutions(source).into_iter().find(|solution| is_it(&solution.lines));
    let exercise = found
        .with_context(|| format!("`{correct}` stands in no solution"))?
        .exercise;
    Ok(exercise.trim_end_matches(|c: char| c.is_alphabetic()).to_owned())
}

/// The checks of samplers, by their exercises.
fn is_of_a_sampler(exercise: &str) -> bool {
    ["3.3", "4.3", "4.5", "5.4", "6.5"].contains(&exercise)
}

fn unpunished(task: Task, part: &Part) -> Result<Vec<String>> {
    let clock = Instant::now();
    let source = fs::read_to_string(root().join("tasks").join(task.crate_name()).join("src/lib.rs"))?;
    let mut options = GradeOptions::new(&root());
    (options.tasks, options.images) = (vec![task], false);
    let grader = Grader::new(options)?;
    let (mistakes, mut unpunished) = (part.of(mistakes(task)?), Vec::new());
    let (mut of_samplers, mut named) = (0, 0);
    for Mistake { correct, mistake, says } in &mistakes.taken {
        let submission = tempfile::tempdir()?;
        let src = submission.path().join(task.crate_name()).join("src");
        fs::create_dir_all(&src)?;
        fs::write(src.join("lib.rs"), source.replacen(correct, mistake, 1))?;
        let report = grader.grade(submission.path(), "mallory", &mut |_, _| {})?;
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
        if is_of_a_sampler(&exercise) {
            let said: Vec<&str> = checks.iter().flat_map(|check| check.text.split_whitespace()).collect();
            let said = said.join(" ");
            of_samplers += 1;
            if said.contains(says) {
                named += 1;
            } else {
                unpunished.push(format!(
                    "{exercise}: `{mistake}` for `{correct}`: the report does not say `{says}`, but: {said}"
                ));
            }
        }
    }
    println!(
        "{}: {mistakes}; of {of_samplers} in samplers the report names {named}; {} faults of the grading; {} s",
        task.crate_name(),
        unpunished.len(),
        clock.elapsed().as_secs()
    );
    Ok(unpunished)
}

#[test]
#[ignore = "builds a task once for each mistake: minutes"]
fn each_mistake_costs_points() -> Result<()> {
    use_helper();
    let (part, mut faults) = (Part::from_environment("mistakes")?, Vec::new());
    for task in chosen_tasks()? {
        faults.extend(unpunished(task, &part)?);
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
