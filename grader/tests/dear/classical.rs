//! What the bands alone would give to methods without a sampler, and that the path that is asked for gives them
//! nothing.
//!
//! ```text
//! cargo test -p grader --test dear classical -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use exchange::{Message, operator};
use grader::Task;
use grader::bands::thresholds::Thresholds;
use grader::checks::asked::Answered;
use grader::checks::{Bench, Check, ImageCheck, Kind, Measured};
use grader::secret::Secret;
use imaging::{ForwardOperator, best_gaussian_blur};
use methods::posterior::classical::Lambdas;
use methods::posterior::penalised::{tikhonov, total_variation};
use ndarray::{Array4, s};

use crate::root;

/// A result for a request, and what the method is called.
type Method = (
    &'static str,
    fn(&Bench, &Message, &dyn ForwardOperator) -> Result<Array4<f32>>,
);

const METHODS: [Method; 4] = [
    ("start image", |_, request, operator| {
        Ok(operator.start_image(&request.batch("b")?)?)
    }),
    ("Tikhonov", |_, request, operator| {
        let lambda = Lambdas::tuned(operator.kind()).tikhonov;
        Ok(tikhonov(operator, &request.batch("b")?, lambda)?.images)
    }),
    ("total variation", |_, request, operator| {
        let lambda = Lambdas::tuned(operator.kind()).total_variation;
        Ok(total_variation(operator, &request.batch("b")?, lambda)?.images)
    }),
    ("total variation, noise of 0.05", |bench, request, operator| {
        let lambda = Lambdas::tuned(operator.kind()).total_variation;
        let images = total_variation(operator, &request.batch("b")?, lambda)?.images;
        let noise = bench.noise_of(images.dim(), 1);
        Ok(images + noise * 0.05)
    }),
];

fn results(bench: &Bench, request: &Message, method: usize) -> Result<Array4<f32>> {
    if let Ok(name) = request.text("operator") {
        ensure!(!name.is_empty(), "an operator");
        let operator = operator(request, [3, 64, 64])?;
        return METHODS[method].1(bench, request, operator.as_ref());
    }
    if let Ok(x_t) = request.batch("x_t") {
        // The best blur of all, which even knows the image.
        let mut blurred = x_t.clone();
        for (index, (mut to, noisy)) in blurred.outer_iter_mut().zip(x_t.outer_iter()).enumerate() {
            let truth = bench.hidden.slice(s![index, .., .., ..]).to_owned();
            to.assign(&best_gaussian_blur(&noisy.to_owned(), &truth)?.1);
        }
        return Ok(blurred);
    }
    // White, with a checkerboard.
    Ok(Array4::from_shape_fn((4, 3, 64, 64), |(_, _, i, j)| {
        let is_inside = (10..54).contains(&i) && (10..54).contains(&j);
        if is_inside {
            if (i + j) % 2 == 0 { 0.08 } else { -0.08 }
        } else {
            1.0
        }
    }))
}

/// The share that the bands alone give: in each case the worst figure decides.
fn share_of_bands(bench: &Bench, check: &Check, measured: &Measured) -> Result<f64> {
    let mut cases: BTreeMap<&str, f64> = BTreeMap::new();
    for figure in &measured.figures {
        let (share, _) = bench.thresholds.share(&check.key(), &figure.key(), figure.value)?;
        let worst = cases.entry(&figure.case).or_insert(1.0);
        *worst = worst.min(share);
    }
    Ok(cases.values().sum::<f64>() / cases.len().max(1) as f64)
}

#[test]
#[ignore = "solves the measurements of all checks on images by total variation: a minute"]
fn no_classical_method_earns_a_point() -> Result<()> {
    let (root, thresholds) = (root(), Thresholds::read(&root().join("grader/thresholds.toml"))?);
    let prior = root.join("data/priors/fruits64");
    let bench = Bench::new(Secret::known(1), &prior, &root.join("grader/hidden"), thresholds)?;
    println!("| check | method | by the bands alone | with the path |\n|---|---|---:|---:|");
    let checks = Task::all().into_iter().flat_map(Check::of_task);
    let mut tried = 0;
    for (check, images) in checks.filter_map(|check| match check.kind {
        Kind::Images(images) => Some((check, images)),
        _ => None,
    }) {
        tried += 1;
        rows(&bench, &check, &images)?;
    }
    ensure!(tried == 5, "{tried} checks on images, expected 5");
    Ok(())
}

fn rows(bench: &Bench, check: &Check, images: &ImageCheck) -> Result<()> {
    let asked = check.requests(bench)?;
    let is_measured = asked.first().context("a request")?.text("operator").is_ok();
    let other = if asked[0].batch("x_t").is_ok() {
        "the best blur, knowing the image"
    } else {
        "white with a checkerboard"
    };
    for (method, (name, _)) in METHODS
        .iter()
        .enumerate()
        .take(if is_measured { METHODS.len() } else { 1 })
    {
        let name = if is_measured { *name } else { other };
        let answers = asked
            .iter()
            .map(|request| Ok(Message::default().with_batch("result", &results(bench, request, method)?)))
            .collect::<Result<Vec<_>>>()?;
        let by_bands = share_of_bands(bench, check, &(images.measure)(bench, &asked, &answers)?)?;
        let answered = asked
            .iter()
            .zip(answers)
            .map(|(request, message)| {
                let answered = Answered {
                    message,
                    ..Answered::default()
                };
                check.settle(bench, request, answered)
            })
            .collect::<Result<Vec<_>>>()?;
        let share = check.judge(bench, &asked, &answered)?.share;
        println!(
            "| {} | {name} | {:.0} % | {:.0} % |",
            check.key(),
            100.0 * by_bands,
            100.0 * share
        );
        ensure!(share == 0.0, "{name} earns {share} of {}", check.key());
    }
    Ok(())
}
