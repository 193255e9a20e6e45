//! What every sampler's loop has to do, judged along the path that it took itself: nothing here depends on the order in
//! which random numbers are drawn, nor on who ran the sampler.

use checks::{Case, Fault, Guard, SAMPLER, Sum};
use diffusion::{Schedule, Step, StepVariance};
use ndarray::Array4;
use probe::{Log, ProbeModel};

pub use crate::along::{at, direct_mean, direct_terms, mean_through_x0, quantities_on};
use crate::calls::check_calls;
use crate::errors::{check_errors, failing};
use crate::means::check_mean;
use crate::noise_of_steps::{check_fresh, check_is_free_of_b, check_is_not_made_of_b, check_start, check_two_seeds};
use crate::path::{Path, Sampler};
use crate::setting::{Setting, describe, ways};
use crate::view::check_views;

/// What a loop should do.
#[derive(Clone, Copy)]
pub struct Loop {
    /// The function's name.
    pub name: &'static str,
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

/// Runs the sampler on a setting; the fault says that it panicked or did not come back.
pub type Take<'a> = dyn FnMut(&Setting) -> Result<Path, Fault> + 'a;

/// The loop of task 3, in either form of the step.
#[must_use]
pub fn ancestral(name: &'static str) -> Loop {
    Loop {
        name,
        mean: || direct_mean("sample"),
        terms: direct_terms,
        pullbacks: 0,
        residual: None,
    }
}

/// Everything that is asked of a loop which starts from pure noise, of a sampler that is called here.
///
/// # Errors
///
/// The first fault.
pub fn examine(spec: &Loop, sampler: Sampler) -> Result<(), Fault> {
    let mut guard = Guard::new(spec.name, SAMPLER);
    judge(spec, &mut |setting| Path::take(&mut guard, sampler, setting))
}

/// The same of a sampler that anybody calls.
///
/// # Errors
///
/// The first fault.
///
/// # Panics
///
/// Does not: the linear schedule has more steps than are asked for.
pub fn judge(spec: &Loop, take: &mut Take<'_>) -> Result<(), Fault> {
    let settings = exact_settings();
    let exact: Vec<Path> = settings
        .iter()
        .map(|setting| run(spec, take, setting))
        .collect::<Result<_, _>>()?;
    if spec.residual.is_some() {
        check_is_not_made_of_b(spec.name, &exact)?;
    }
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
    let first = run(spec, take, &noisy(5, StepVariance::Beta))?;
    let again = run(spec, take, &noisy(5, StepVariance::Beta))?;
    let other = run(spec, take, &noisy(6, StepVariance::Posterior))?;
    for path in [&first, &other] {
        check_fresh(spec, path)?;
    }
    check_two_seeds(spec, &first, &again, &other)?;
    if spec.residual.is_some() {
        let with_other_b = run(spec, take, &first.setting.clone().with_other_inputs())?;
        check_is_free_of_b(spec.name, &first, &with_other_b)?;
    }
    check_views(spec, &first)?;
    check_errors(spec, take, failing(&settings[0]))
}

/// Runs whose steps add no noise: each `x_t` leads to the next exactly.
fn exact_settings() -> [Setting; 3] {
    let [wide, each, one] = ways(&ProbeModel::new([1, 1, 1], &Log::default(), 0));
    let setting = |steps: Vec<Step>, seed: u64| Setting::new(steps, seed).without_noise();
    let of_one_image = Setting {
        shape: [1, 5, 7],
        images: 1,
        ..setting(each, 2)
    };
    [setting(wide, 1), of_one_image, setting(one, 3)]
}

/// The first run that is judged.
#[must_use]
pub fn first_setting() -> Setting {
    let [first, ..] = exact_settings();
    first
}

/// A run, and whether it asked the model as it should.
///
/// # Errors
///
/// The first fault.
pub fn run(spec: &Loop, take: &mut Take<'_>, setting: &Setting) -> Result<Path, Fault> {
    let path = take(setting)?;
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
