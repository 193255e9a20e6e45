//! Measures what the reference solution reaches, and proposes the bands: no threshold is typed by hand.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use exchange::Message;

use crate::bands::thresholds::{Band, Thresholds, Worse};
use crate::bar;
use crate::checks::asked::Answered;
use crate::checks::{Bench, Check, ImageCheck, Kind, reference};
use crate::course::task::Task;
use crate::secret::Secret;

/// Runs all checks on images with the reference solution for each of `seeds`; the thresholds with the bands found. A
/// check that is not of `tasks` keeps its bands.
///
/// # Errors
///
/// If the reference solution fails, or there are fewer than three seeds.
pub fn calibrate(bench: &Bench, tasks: &[Task], seeds: std::ops::Range<u64>) -> Result<Thresholds> {
    if seeds.end < seeds.start + 3 {
        bail!("a spread asks for at least 3 seeds");
    }
    let checks: Vec<(Check, ImageCheck)> = tasks
        .iter()
        .flat_map(|&task| Check::of_task(task))
        .filter_map(of_images)
        .collect();
    let bar = bar::new("runs", checks.len() as u64 * (seeds.end - seeds.start));
    let mut values: BTreeMap<String, BTreeMap<String, (Worse, Vec<f64>)>> = BTreeMap::new();
    for seed in seeds {
        let bench = bench.with_secret(Secret::known(seed));
        for (check, images) in &checks {
            bar.set_message(check.key());
            let asked = check.requests(&bench)?;
            let answers = answers(&bench, check, &asked)?;
            let messages: Vec<Message> = answers.into_iter().map(|answer| answer.message).collect();
            let measured =
                (images.measure)(&bench, &asked, &messages).with_context(|| format!("{} fails", check.key()))?;
            let of_check = values.entry(check.key()).or_default();
            for figure in measured.figures {
                let of_figure = of_check.entry(figure.key());
                of_figure.or_insert((figure.worse, Vec::new())).1.push(figure.value);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut thresholds = Thresholds::clone(&bench.thresholds);
    thresholds.images = bench.images_fingerprint();
    for (key, figures) in values {
        let bands = figures
            .into_iter()
            .map(|(figure, (worse, values))| (figure, band(worse, &values)))
            .collect();
        thresholds.bands.insert(key, bands);
    }
    Ok(thresholds)
}

fn of_images(check: Check) -> Option<(Check, ImageCheck)> {
    match check.kind {
        Kind::Images(images) => Some((check, images)),
        _ => None,
    }
}

fn answers(bench: &Bench, check: &Check, asked: &[Message]) -> Result<Vec<Answered>> {
    let answer = |request| check.settle(bench, request, reference(bench, check.task, request)?);
    asked.iter().map(answer).collect()
}

fn band(worse: Worse, values: &[f64]) -> Band {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let rounded = |value: f64| (value * 1e5).round() / 1e5;
    Band {
        mean: rounded(mean),
        std: rounded(variance.sqrt()).max(1e-5),
        worse,
    }
}

/// What stands at the top of the file.
const HEADER: &str = "\
# Bands, measured: `grader calibrate` runs the reference solution on the hidden images over many seeds and writes
# mean and standard deviation of each figure.
# `shares`: up to so many standard deviations on the worse side of the mean, that share of the points is earned.
# The points are those of tasks/tasks.toml. A table `[points]` here, with lines such as \"6.2 formula\" = 5.0, gives
# others; all together have to add up to 100.
";

/// The thresholds as a file, with a word on where they come from.
///
/// # Errors
///
/// Does not fail for thresholds that were read from a file.
pub fn to_text(thresholds: &Thresholds) -> Result<String> {
    Ok(format!("{HEADER}\n{}", toml::to_string(thresholds)?))
}

/// Which checks are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everything,
    /// All but those on images with the network, which take minutes.
    WithoutImages,
}

/// Whether the reference solution earns every point of `tasks` on each of `seeds`; the checks that fail, in words.
///
/// # Errors
///
/// If inputs cannot be made.
pub fn unfair(bench: &Bench, tasks: &[Task], seeds: std::ops::Range<u64>, scope: Scope) -> Result<Vec<String>> {
    let wanted = |check: &Check| scope == Scope::Everything || !matches!(check.kind, Kind::Images(_));
    let checks: Vec<Check> = tasks
        .iter()
        .flat_map(|&task| Check::of_task(task))
        .filter(wanted)
        .collect();
    let bar = bar::new("checks", checks.len() as u64 * (seeds.end - seeds.start));
    let mut faults = Vec::new();
    for seed in seeds {
        let bench = bench.with_secret(Secret::known(seed));
        for check in &checks {
            bar.set_message(check.key());
            let asked = check.requests(&bench)?;
            let verdict = check.judge(&bench, &asked, &answers(&bench, check, &asked)?)?;
            if verdict.share < 1.0 {
                faults.push(format!(
                    "{}, seed {seed}: {:.2} of 1. {}",
                    check.key(),
                    verdict.share,
                    verdict.text
                ));
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(faults)
}
