//! What it costs that the network is asked through a pipe: a check on images with a worker, beside the same calls of
//! the network in this process.
//!
//! ```text
//! cargo test -p grader --test dear latency -- --ignored --nocapture
//! ```

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grader::bands::thresholds::Thresholds;
use grader::checks::{Bench, Check, reference};
use grader::secret::Secret;
use grader::{GradeOptions, Grader};

use crate::{root, task_of, use_helper};

/// Least times of so many, taken in turns.
const TURNS: usize = 3;

fn compare(task: u8, key: &str) -> Result<f64> {
    let thresholds = Thresholds::read(&root().join("grader/thresholds.toml"))?;
    let prior = root().join("data/priors/fruits64");
    let bench = Bench::new(Secret::known(1), &prior, &root().join("grader/hidden"), thresholds)?;
    let check = Check::of_task(task_of(task))
        .into_iter()
        .find(|check| check.key() == key);
    let check = check.context("a check")?;
    let asked = check.requests(&bench)?;
    let grader = Grader::new(GradeOptions {
        tasks: vec![task_of(task)],
        only: vec![key.into()],
        ..GradeOptions::new(&root())
    })?;
    let (mut here, mut piped) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TURNS {
        let clock = Instant::now();
        for request in &asked {
            check.settle(&bench, request, reference(&bench, task_of(task), request)?)?;
        }
        here = here.min(clock.elapsed().as_secs_f64());
        let report = grader.grade(&root(), "latency", &mut |_, _| {})?;
        let graded = report.check(key).context("the check's report")?;
        ensure!(graded.points == graded.out_of, "{}", graded.text);
        piped = piped.min(graded.seconds);
    }
    println!("{key}: {here:.2} s in this process, {piped:.2} s with workers");
    Ok(piped / here)
}

#[test]
#[ignore = "runs samplers on the network for a minute"]
fn the_pipe_costs_little() -> Result<()> {
    use_helper();
    for (task, key) in [(3, "3.3 images"), (6, "6.5 images")] {
        let ratio = compare(task, key)?;
        println!("{key}: {:.1} % more", 100.0 * (ratio - 1.0));
        // What a busy machine adds is more than what is looked for here: 5 %, on a quiet one.
        ensure!(ratio < 1.5, "{key} takes {ratio:.2} times as long");
    }
    Ok(())
}
