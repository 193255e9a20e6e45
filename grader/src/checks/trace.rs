//! Looks at a sampler step by step: is each the step that the exercise asks for, with fresh noise?
//!
//! Nothing here depends on the order in which random numbers are drawn. From one `x_t` to the next the noise of the
//! step is worked out, `z = (x_{t-1} - mean) / sigma`, and has to look standard normal, except at the end, where it is
//! zero.

use anyhow::Result;
use diffusion::{GaussianMixtureModel, ScoreModel, Step, StepVariance};
use exchange::Message;
use ndarray::{Array4, Axis};

use super::Verdict;
use super::noise::wrong_noise;
pub use super::runs::{Runs, requests};

/// For comparisons to rounding, relative to the largest value.
const TOLERANCE: f32 = 2e-3;

/// From `x_t` and its step to the next images, without noise.
pub type StepMean<'a> = dyn Fn(&Array4<f32>, &Step) -> Result<Array4<f32>> + 'a;
/// From `x0_hat` to the residual norm of each image.
pub type ResidualNorms<'a> = dyn Fn(&Array4<f32>) -> Result<Vec<f32>> + 'a;

/// What a sampler should do.
pub struct Expected<'a> {
    /// The model that was sampled from.
    pub model: &'a GaussianMixtureModel,
    /// The steps of one pass.
    pub steps: &'a [Step],
    /// How many passes follow each other; each starts anew from a guide.
    pub passes: usize,
    /// What a pass starts from: `alpha_bar` of the start, 0 for pure noise, and the first guide.
    pub start: (f64, &'a Array4<f32>),
    /// The next images without the step's noise.
    pub mean: &'a StepMean<'a>,
    /// The residual norms of `x0_hat`, where the sampler shows them.
    pub residuals: Option<&'a ResidualNorms<'a>>,
    /// How many pullbacks a step takes.
    pub pullbacks: usize,
}

/// A sampler's run, as its worker reported it.
struct Trace {
    x_t: Vec<Array4<f32>>,
    x0_hat: Vec<Array4<f32>>,
    result: Array4<f32>,
}

/// Judges the answers to [`requests`]: a wrong step earns nothing, each smaller fault costs a third.
pub fn judge(expected: &Expected<'_>, runs: &Runs<'_>) -> Result<Verdict> {
    if let Some(fault) = runs.finished().into_iter().find_map(failure) {
        return Ok(Verdict::nothing(fault));
    }
    let trace = match read(expected, runs.watched) {
        Ok(trace) => trace,
        Err(fault) => return Ok(Verdict::nothing(fault)),
    };
    if let Some(fault) = wrong_step(expected, &trace)? {
        return Ok(Verdict::nothing(fault));
    }
    let faults: Vec<String> = [
        wrong_calls(expected, runs.watched),
        wrong_view(expected, &trace, runs.watched)?,
        wrong_seeds(runs),
        wrong_posterior(expected, runs.posterior)?,
        (!runs.stopped.texts.contains_key("error")).then(|| {
            "The observer stopped the sampler with an error, but it went on: hand the observer's error on with `?`."
                .into()
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    let share = (1.0 - faults.len() as f64 / 3.0).max(0.0);
    let text = if faults.is_empty() {
        format!(
            "{} steps of a small model, looked at one by one: right.",
            expected.steps.len()
        )
    } else {
        format!("The steps are right, but:\n{}", faults.join("\n"))
    };
    Ok(Verdict {
        share,
        text,
        ..Verdict::default()
    })
}

/// Why there is no result.
pub fn failure(answer: &Message) -> Option<String> {
    let cut = |text: &String| text.chars().take(500).collect::<String>();
    match (answer.texts.get("panic"), answer.texts.get("error")) {
        (Some(_), _) => Some("The code panicked.".into()),
        (None, Some(error)) => Some(format!("An unexpected error: {}", cut(error))),
        (None, None) => None,
    }
}

fn read(expected: &Expected<'_>, answer: &Message) -> Result<Trace, String> {
    let count = expected.steps.len() * expected.passes;
    let shape = expected.start.1.shape();
    let series = |name: &str| -> Result<Vec<Array4<f32>>, String> {
        let array = answer
            .array(name)
            .map_err(|_| "The observer was never shown a step: call observer.observe once per step.".to_owned())?;
        let wanted = [&[count], shape].concat();
        if array.shape() != wanted {
            let got = array.shape();
            return Err(format!(
                "The observer saw `{name}` [steps, B, C, H, W] = {got:?}, expected {wanted:?}: one view per step."
            ));
        }
        let of_step = |step: ndarray::ArrayViewD<'_, f32>| step.to_owned().into_dimensionality().ok();
        Ok(array.axis_iter(Axis(0)).filter_map(of_step).collect())
    };
    let result = answer.batch("result").map_err(|error| error.to_string())?;
    if result.shape() != shape {
        return Err(format!(
            "The result has shape {:?}, expected {shape:?}.",
            result.shape()
        ));
    }
    Ok(Trace {
        x_t: series("x_t")?,
        x0_hat: series("x0_hat")?,
        result,
    })
}

/// What is wrong where the steps have the posterior variance: their noise has to follow.
fn wrong_posterior(expected: &Expected<'_>, answer: &Message) -> Result<Option<String>> {
    if let Some(fault) = failure(answer) {
        return Ok(Some(fault));
    }
    let posterior = |step: &Step| step.with_variance(StepVariance::Posterior);
    let steps: Vec<Step> = expected.steps.iter().map(posterior).collect();
    let expected = Expected {
        steps: &steps,
        ..*expected
    };
    let fault = match read(&expected, answer) {
        Ok(trace) => wrong_step(&expected, &trace)?,
        Err(fault) => Some(fault),
    };
    Ok(fault.map(|fault| format!("With steps of the posterior variance, whose sigma is step.sigma: {fault}")))
}

/// The first step that is not what it should be.
fn wrong_step(expected: &Expected<'_>, trace: &Trace) -> Result<Option<String>> {
    let (steps, (alpha_bar, first)) = (expected.steps, expected.start);
    let mut guide = first.clone();
    let mut noises: Vec<(String, Array4<f32>)> = Vec::new();
    for (index, x_t) in trace.x_t.iter().enumerate() {
        let step = &steps[index % steps.len()];
        if index % steps.len() == 0 {
            let eps = (x_t - &guide * alpha_bar.sqrt() as f32) / (1.0 - alpha_bar).sqrt() as f32;
            noises.push((format!("the start, x_t at t = {}", step.t), eps));
        }
        let mean = (expected.mean)(x_t, step)?;
        let next = if step.is_last() { None } else { trace.x_t.get(index + 1) };
        let Some(next) = next else {
            // The end of a pass: the next one starts from what came out, which only the last pass shows.
            let is_end = index + 1 == trace.x_t.len();
            if is_end && !close(&trace.result, &mean) {
                return Ok(Some(format!(
                    "The last step, from t = {}, does not lead to the result that it should: z = 0 there, and the \
                     result of the step is returned.",
                    step.t
                )));
            }
            guide = mean;
            continue;
        };
        let z = (next - &mean) / step.sigma as f32;
        noises.push((format!("the step from t = {} to {}", step.t, step.t_prev), z));
    }
    Ok(wrong_noise(&noises))
}

/// Whether two batches are the same to rounding.
pub fn close(got: &Array4<f32>, expected: &Array4<f32>) -> bool {
    let scale = expected.iter().fold(1f32, |most, v| most.max(v.abs()));
    got.dim() == expected.dim()
        && got
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() <= TOLERANCE * scale)
}

fn wrong_calls(expected: &Expected<'_>, answer: &Message) -> Option<String> {
    let one_pass: Vec<String> = expected.steps.iter().map(|step| step.t.to_string()).collect();
    let times = vec![one_pass.join(" "); expected.passes].join(" ");
    for (name, what) in [
        ("asked", "The model was asked"),
        ("seen", "The observer was shown steps"),
    ] {
        let got = answer.texts.get(name).map_or("", String::as_str);
        if got != times {
            let calls = got.split_whitespace().count();
            let wanted = expected.steps.len() * expected.passes;
            return Some(format!(
                "{what} {calls} times, expected once in each of {wanted} steps, at the step's t."
            ));
        }
    }
    let wanted = expected.pullbacks * expected.steps.len() * expected.passes;
    let got: usize = answer.number("pullbacks").unwrap_or(usize::MAX);
    (got != wanted).then(|| format!("The model was asked for {got} pullbacks, expected {wanted}."))
}

fn wrong_view(expected: &Expected<'_>, trace: &Trace, answer: &Message) -> Result<Option<String>> {
    for (index, (x_t, x0_hat)) in trace.x_t.iter().zip(&trace.x0_hat).enumerate() {
        let step = &expected.steps[index % expected.steps.len()];
        let score = expected.model.score(x_t, step.t)?;
        let right = (x_t + &score * (1.0 - step.alpha_bar) as f32) / step.alpha_bar.sqrt() as f32;
        if !close(x0_hat, &right) {
            return Ok(Some(format!(
                "At t = {} the observer was shown another x0_hat than that of its x_t: show it Tweedie's formula at \
                 x_t, from before the step.",
                step.t
            )));
        }
        let Some(residuals) = expected.residuals else { continue };
        let right = residuals(&right)?;
        let shown = answer.matrix("residual").ok();
        let shown = shown
            .as_ref()
            .and_then(|shown| shown.outer_iter().nth(index).map(|row| row.to_vec()));
        let is_right = |shown: Vec<f32>| {
            shown.len() == right.len()
                && shown
                    .iter()
                    .zip(&right)
                    .all(|(a, b)| (a - b).abs() <= 0.01 * b.abs() + 1e-3)
        };
        if !shown.is_some_and(is_right) {
            return Ok(Some(format!(
                "At t = {} the observer was not shown ||b - A x0_hat|| of each image as the residual.",
                step.t
            )));
        }
    }
    Ok(None)
}

fn wrong_seeds(runs: &Runs<'_>) -> Option<String> {
    let [first, again, other] = runs.finished().map(|answer| answer.batch("result").ok());
    if first.is_none() || first != again {
        return Some("The same seed gave different images: draw all random numbers from `rng`.".into());
    }
    (first == other).then(|| "Two seeds gave the same images: draw from `rng`.".into())
}
