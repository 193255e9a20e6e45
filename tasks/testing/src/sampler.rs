//! What every sampler's loop has to do, judged along the path that it took itself: nothing here depends on the order in
//! which random numbers are drawn.

use checks::{Case, Fault, Guard, SAMPLER, Sum};
use diffusion::{Schedule, Step, StepVariance};
use ndarray::Array4;

use crate::along::with_neighbours;
pub use crate::along::{at, direct_mean, direct_terms, mean_through_x0, quantities_on};
use crate::calls::wrong_times;
use crate::noise_of_steps::{check_fresh, check_start, check_two_seeds};
use crate::path::{Path, Sampler, Setting, describe, ways};
use crate::probe::{BROKEN, Event, Log, ProbeModel};
use crate::quantities::with_remarks;
use crate::view::check_views;

/// What a loop should do.
pub struct Loop {
    /// The function's name.
    pub name: &'static str,
    /// Calls it.
    pub sampler: Sampler,
    /// From `x_t` to the next, without the noise: terms and their coefficients.
    pub mean: fn() -> Sum,
    /// The arrays of these terms at step number `i` of a path, with what may stand in their place.
    pub terms: fn(&Path, usize) -> Case,
    /// How many pullbacks a step takes.
    pub pullbacks: usize,
    /// The residual norms that the observer is to see, from a path and `x0_hat`.
    pub residual: Option<ResidualNorms>,
}

/// From a path and `x0_hat` to the norm of each image's residual.
pub type ResidualNorms = fn(&Path, &Array4<f32>) -> Vec<f32>;

/// Everything that is asked of a loop which starts from pure noise.
///
/// # Errors
///
/// The first fault.
///
/// # Panics
///
/// Does not: the linear schedule has more steps than are asked for.
pub fn examine(spec: &Loop) -> Result<(), Fault> {
    let mut guard = Guard::new(spec.name, SAMPLER);
    let ways = ways(&ProbeModel::new([1, 1, 1], &Log::default(), 0));
    let exact: Vec<Path> = ways
        .iter()
        .enumerate()
        .map(|(seed, way)| {
            let mut setting = Setting::new(way.clone(), 1 + seed as u64).without_noise();
            if seed == 1 {
                (setting.shape, setting.images) = ([1, 5, 7], 1);
            }
            run(spec, &mut guard, &setting)
        })
        .collect::<Result<_, _>>()?;
    let starts: Vec<&Array4<f32>> = exact.iter().map(|path| path.around(0).0).collect();
    check_start(spec.name, &starts)?;
    check_mean(spec, &exact)?;
    for path in &exact {
        check_views(spec, path)?;
    }
    let noisy = |seed: u64, variance: StepVariance| -> Setting {
        let steps = Schedule::linear()
            .steps(25)
            .expect("a number of steps within the schedule");
        Setting::new(
            steps.into_iter().map(|step| step.with_variance(variance)).collect(),
            seed,
        )
    };
    let first = run(spec, &mut guard, &noisy(5, StepVariance::Beta))?;
    let again = run(spec, &mut guard, &noisy(5, StepVariance::Beta))?;
    let other = run(spec, &mut guard, &noisy(6, StepVariance::Posterior))?;
    for path in [&first, &other] {
        check_fresh(spec, path)?;
    }
    check_two_seeds(spec, &first, &again, &other)?;
    check_views(spec, &first)?;
    check_errors(spec, &mut guard, &ways[0])
}

/// A run, and whether it asked the model as it should.
///
/// # Errors
///
/// The first fault.
pub fn run(spec: &Loop, guard: &mut Guard, setting: &Setting) -> Result<Path, Fault> {
    let path = Path::take(guard, spec.sampler, setting)?;
    check_calls(spec, &path)?;
    check_outcome(spec, &path)?;
    Ok(path)
}

/// There is a result, and of the right shape.
///
/// # Errors
///
/// If not.
pub fn check_outcome(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let (name, fed) = (spec.name, format!("fed: {}", describe(&path.setting)));
    match &path.outcome {
        Err(error) => {
            Err(Fault::new(format!("{name} returned an error, though nothing had failed: {error}")).fact(fed))
        }
        Ok(result) if result.dim() != path.setting.batch() => Err(Fault::new(format!(
            "{name} returned the shape {:?}, expected {:?}",
            result.dim(),
            path.setting.batch()
        ))
        .fact(fed)),
        Ok(_) => Ok(()),
    }
}

/// The model is asked once per step, at the step's time, about the whole batch.
///
/// # Errors
///
/// If not.
pub fn check_calls(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let (name, steps, asked) = (spec.name, &path.setting.steps, path.asked());
    let fed = format!("fed: {}", describe(&path.setting));
    if let Some((x_t, _)) = asked.iter().find(|(x_t, _)| x_t.dim() != path.setting.batch()) {
        return Err(Fault::new(format!(
            "{name} asks the model about an array of the shape {:?}; the whole batch is {:?}",
            x_t.dim(),
            path.setting.batch()
        ))
        .fact(fed));
    }
    let times: Vec<usize> = asked.iter().map(|(_, t)| *t).collect();
    let right: Vec<usize> = steps.iter().map(|step| step.t).collect();
    // A run that ended early has a better reason to tell.
    if path.outcome.is_err() && times.len() < right.len() && right.starts_with(&times) {
        return Ok(());
    }
    if times != right {
        return Err(wrong_times(name, &times, &right, steps, path.seen().len()).fact(fed));
    }
    let with_pullback = path.count(|event| {
        matches!(
            event,
            Event::Score {
                with_pullback: true,
                ..
            }
        )
    });
    let called = path.count(|event| matches!(event, Event::Pullback));
    let wanted = steps.len() * spec.pullbacks;
    if path.outcome.is_ok() && called != wanted {
        return Err(Fault::new(format!(
            "{name} calls {called} pullbacks in {} steps, expected {wanted}: {} per step",
            steps.len(),
            spec.pullbacks
        ))
        .fact(fed));
    }
    if path.outcome.is_ok() && spec.pullbacks == 0 && with_pullback > 0 {
        return Err(Fault::new(format!(
            "{name} asks for {with_pullback} pullbacks that it never calls: model.score is what it needs"
        ))
        .fact(fed));
    }
    Ok(())
}

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

/// Errors of the observer and of the model end the sampler, and come back.
///
/// # Errors
///
/// If not.
pub fn check_errors(spec: &Loop, guard: &mut Guard, way: &[Step]) -> Result<(), Fault> {
    let name = spec.name;
    let of_observer = Setting {
        observer_stops_at: Some(3),
        ..Setting::new(way.to_vec(), 8)
    };
    let of_model = Setting {
        model_fails_at: Some(2),
        ..Setting::new(way.to_vec(), 8)
    };
    for (setting, whose, text, most) in [
        (
            of_observer,
            "the observer's error at its third step (Ctrl-C is one)",
            "interrupted",
            3,
        ),
        (of_model, "the model's error at its second call", BROKEN, 2),
    ] {
        let should = format!("{whose} should end {name} and come back: `?` does that");
        let path =
            Path::take(guard, spec.sampler, &setting).map_err(|fault| fault.fact(format!("in this run {should}")))?;
        let calls = path.asked().len();
        match &path.outcome {
            Ok(_) => {
                return Err(Fault::new(format!(
                    "{should}; but it returned Ok after {calls} calls of the model"
                )));
            }
            Err(error) if !error.contains(text) => {
                return Err(Fault::new(format!("{should}; but another one came: {error}")));
            }
            Err(_) if calls > most => {
                return Err(Fault::new(format!(
                    "{should}; but the model was asked {calls} times until it did"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(())
}
