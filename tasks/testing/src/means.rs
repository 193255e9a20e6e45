//! Does each `x_t` lead to the next by the formula, where the steps add no noise?

use checks::{Case, Fault};

use crate::along::with_neighbours;
use crate::path::Path;
use crate::quantities::with_remarks;
use crate::sampler::Loop;

/// Each `x_t` leads to the next by the formula, in runs without noise.
///
/// # Errors
///
/// The first fault.
pub fn check_mean(spec: &Loop, paths: &[Path]) -> Result<(), Fault> {
    let mut sum = with_remarks(with_neighbours((spec.mean)())).unchanged(
        "x_t is the same before and after every step: the result of a step is not what the next starts from",
    );
    let mut tame = sum.clone();
    for path in paths {
        let mut is_tame = true;
        for i in 0..path.setting.steps.len() {
            let case = tagged((spec.terms)(path, i), path, i);
            is_tame &= path.around(i).1.iter().all(|value| value.abs() < WILD);
            if is_tame {
                tame.add(case.clone());
            }
            sum.add(case);
        }
    }
    let Err(fault) = sum.verdict() else { return Ok(()) };
    let fault = tame.verdict().err().unwrap_or(fault);
    // What has a name needs no noise to explain it.
    let has_a_name = !fault.hint().contains("no sum of its terms");
    let noise = if has_a_name { None } else { added_noise(spec, paths) };
    Err(noise.unwrap_or(fault))
}

/// Where a mistake lets `x_t` grow beyond this, its terms look so much alike in `f32` that the steps before tell more.
const WILD: f32 = 100.0;

/// A case of a path, with the words for where it is.
fn tagged(case: Case, path: &Path, i: usize) -> Case {
    let steps = &path.setting.steps;
    let case = if i + 1 == steps.len() {
        case.tag("at the last step")
    } else {
        case.tag("at all steps but the last")
    };
    let case = if i == 0 {
        case.tag("at the first step")
    } else {
        case.tag("after the first step")
    };
    let skips = steps[i].t_prev + 1 < steps[i].t;
    if skips {
        case.tag("where the steps skip times")
    } else {
        case.tag("where no time is skipped")
    }
}

/// Noise in a run whose steps have `sigma = 0`.
fn added_noise(spec: &Loop, paths: &[Path]) -> Option<Fault> {
    let sum = (spec.mean)();
    let (mut at, mut all) = (Vec::new(), 0);
    for path in paths.iter().filter(|path| path.setting.images > 1) {
        for (i, step) in path.setting.steps.iter().enumerate() {
            let case = (spec.terms)(path, i);
            let rest = path.around(i).1 - &sum.expected(&case);
            let size = (rest.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / rest.len() as f64).sqrt();
            let ratio = size / step.beta().sqrt();
            all += 1;
            if (ratio - 1.0).abs() < 0.2 {
                at.push((step.is_last(), step.t, step.t_prev, size));
            }
        }
    }
    let (_, t, t_prev, size) = *at.first()?;
    let at_last = at.iter().all(|(is_last, ..)| *is_last);
    if at.len() != all && !at_last {
        return None;
    }
    let place = if at_last {
        "noise is added at the last step"
    } else {
        "noise is added in every step, and so at the last step"
    };
    Some(
        Fault::new(format!(
            "{}: {place}, where step.sigma is 0: the noise is step.sigma times z, and z = 0 at the end",
            spec.name
        ))
        .fact(format!(
            "in a run whose steps all have sigma = 0, what is added to the mean from t = {t} to {t_prev} has standard \
             deviation {size:.4}, about sqrt(1 - alpha_t)"
        )),
    )
}
