//! Looks at a sampler's runs on a small model: is the path that it took right, was the observer shown it, does the seed
//! decide?

use anyhow::Result;
use diffusion::{Step, StepVariance};
use exchange::Message;
use ndarray::{Array4, Axis};

use super::Verdict;
use super::asked::{Answered, Call};
use super::path::{Way, close};
pub use super::runs::{Runs, requests};

/// From `x0_hat` to the residual norm of each image.
pub type ResidualNorms<'a> = dyn Fn(&Array4<f32>) -> Result<Vec<f32>> + 'a;

/// What a sampler should do.
pub struct Expected<'a> {
    /// The way that it should go.
    pub way: Way<'a>,
    /// The residual norms of `x0_hat`, where the sampler shows them.
    pub residuals: Option<&'a ResidualNorms<'a>>,
    /// How many pullbacks a step takes.
    pub pullbacks: usize,
}

/// A sampler's run: what it asked, and what it showed.
struct Trace<'c> {
    calls: Vec<&'c Call>,
    x_t: Vec<Array4<f32>>,
    x0_hat: Vec<Array4<f32>>,
    result: Array4<f32>,
}

/// Judges the answers to [`requests`]: a wrong step earns nothing, each smaller fault costs a third.
pub fn judge(expected: &Expected<'_>, runs: &Runs<'_>) -> Result<Verdict> {
    if let Some(fault) = runs.finished().into_iter().find_map(|answer| failure(&answer.message)) {
        return Ok(Verdict::nothing(fault));
    }
    let trace = match read(&expected.way, runs.watched) {
        Ok(trace) => trace,
        Err(fault) => return Ok(Verdict::nothing(fault)),
    };
    // Also where nobody watches: one request is as good as another.
    for answer in [runs.again, runs.other_seed] {
        if let Some(fault) = wrong_way(&expected.way, answer)? {
            return Ok(Verdict::nothing(fault));
        }
    }
    if let Some(fault) = expected.way.fault(&trace.calls, &trace.result)? {
        return Ok(Verdict::nothing(fault));
    }
    let faults: Vec<String> = [
        wrong_calls(expected, &runs.watched.message),
        wrong_view(expected, &trace, &runs.watched.message)?,
        wrong_seeds(runs),
        wrong_posterior(&expected.way, runs.posterior)?,
        (!runs.stopped.message.texts.contains_key("error")).then(|| {
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
            expected.way.steps.len()
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

/// What is wrong with the way that a run took.
pub fn wrong_way(way: &Way<'_>, answer: &Answered) -> Result<Option<String>> {
    let result = match answer.message.batch("result") {
        Ok(result) => result,
        Err(error) => return Ok(Some(error.to_string())),
    };
    match way.calls(&answer.calls) {
        Ok(calls) => way.fault(&calls, &result),
        Err(fault) => Ok(Some(fault)),
    }
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

fn read<'c>(way: &Way<'_>, answer: &'c Answered) -> Result<Trace<'c>, String> {
    let count = way.steps.len() * way.passes;
    let (calls, answer) = (way.calls(&answer.calls)?, &answer.message);
    let shape = way.start.1.shape();
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
        calls,
        x_t: series("x_t")?,
        x0_hat: series("x0_hat")?,
        result,
    })
}

/// What is wrong where the steps have the posterior variance: their noise has to follow.
fn wrong_posterior(way: &Way<'_>, answer: &Answered) -> Result<Option<String>> {
    if let Some(fault) = failure(&answer.message) {
        return Ok(Some(fault));
    }
    let posterior = |step: &Step| step.with_variance(StepVariance::Posterior);
    let steps: Vec<Step> = way.steps.iter().map(posterior).collect();
    let fault = wrong_way(&Way { steps: &steps, ..*way }, answer)?;
    Ok(fault.map(|fault| format!("With steps of the posterior variance, whose sigma is step.sigma: {fault}")))
}

fn wrong_calls(expected: &Expected<'_>, answer: &Message) -> Option<String> {
    let one_pass: Vec<String> = expected.way.steps.iter().map(|step| step.t.to_string()).collect();
    let times = vec![one_pass.join(" "); expected.way.passes].join(" ");
    for (name, what) in [
        ("asked", "The model was asked"),
        ("seen", "The observer was shown steps"),
    ] {
        let got = answer.texts.get(name).map_or("", String::as_str);
        if got != times {
            let calls = got.split_whitespace().count();
            let wanted = expected.way.steps.len() * expected.way.passes;
            return Some(format!(
                "{what} {calls} times, expected once in each of {wanted} steps, at the step's t."
            ));
        }
    }
    let wanted = expected.pullbacks * expected.way.steps.len() * expected.way.passes;
    let got: usize = answer.number("pullbacks").unwrap_or(usize::MAX);
    (got != wanted).then(|| format!("The model was asked for {got} pullbacks, expected {wanted}."))
}

fn wrong_view(expected: &Expected<'_>, trace: &Trace<'_>, answer: &Message) -> Result<Option<String>> {
    for (index, (x_t, x0_hat)) in trace.x_t.iter().zip(&trace.x0_hat).enumerate() {
        let step = &expected.way.steps[index % expected.way.steps.len()];
        if !close(x_t, &trace.calls[index].x_t) {
            return Ok(Some(format!(
                "At t = {} the observer was shown another x_t than the model was asked about: show it the x_t from \
                 before the step.",
                step.t
            )));
        }
        let score = expected.way.model.score(x_t, step.t)?;
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
    let [first, again, other] = runs.finished().map(|answer| answer.message.batch("result").ok());
    if first.is_none() || first != again {
        return Some("The same seed gave different images: draw all random numbers from `rng`.".into());
    }
    (first == other).then(|| "Two seeds gave the same images: draw from `rng`.".into())
}
