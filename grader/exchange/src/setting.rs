//! Operators and steps, as a request names them.

use anyhow::{Result, bail, ensure};
use diffusion::{Schedule, Step, StepVariance};
use imaging::{Convolution, ForwardOperator, parse_operator};
use ndarray::array;
use probe::{Log, ProbeOperator};

use crate::{Message, PROBE};

/// The image shape `[C, H, W]` of the small models: no two sides alike, so that swapped axes are noticed.
pub const SMALL_SHAPE: [usize; 3] = [3, 6, 5];
/// An operator that no command line has: a blur that differs from its transpose and leaves the shape as it is.
pub const LOPSIDED_BLUR: &str = "lopsided-blur";

/// The operator that a request names in its text `operator`, random parts from its number `operator_seed`: a name as on
/// the command line, [`LOPSIDED_BLUR`], or [`PROBE`] with so many numbers as `measured` says; a blur by the request's
/// matrix `kernel`, where it has one.
///
/// # Errors
///
/// An unknown name, parameters that do not fit the images.
pub fn operator(request: &Message, image_shape: [usize; 3]) -> Result<Box<dyn ForwardOperator>> {
    if request.text("operator")? == LOPSIDED_BLUR {
        let kernel = array![[0.4_f64, 0.1, 0.0], [0.2, 0.3, 0.0], [0.0, 0.0, 0.0]];
        return Ok(Box::new(Convolution::from_kernel(image_shape, &kernel)?));
    }
    if request.text("operator")? == PROBE {
        let measured = request.number("measured")?;
        return Ok(Box::new(ProbeOperator::new(image_shape, measured, &Log::default())));
    }
    if let Ok(kernel) = request.matrix("kernel") {
        return Ok(Box::new(Convolution::from_kernel(
            image_shape,
            &kernel.mapv(f64::from),
        )?));
    }
    let seed = request.number("operator_seed")?;
    Ok(parse_operator(request.text("operator")?, image_shape, seed)?)
}

/// The step from the number `t` to the number `t_prev` of the linear schedule, with the noise that the text `variance`
/// names.
///
/// # Errors
///
/// Times that make no step, an unknown rule.
pub fn step(request: &Message) -> Result<Step> {
    let (t, t_prev): (usize, usize) = (request.number("t")?, request.number("t_prev")?);
    let schedule = Schedule::linear();
    ensure!(
        t_prev < t && t <= schedule.num_steps(),
        "there is no step from t = {t} to {t_prev}"
    );
    let step = schedule.step(t, t_prev);
    Ok(variance(request)?.map_or(step, |rule| step.with_variance(rule)))
}

/// So many steps as the number `steps` says, from the number `from` down to 0, with the noise that the text `variance`
/// names, which may be `none` here; no steps for 0.
///
/// # Errors
///
/// Numbers outside of the schedule, an unknown rule.
pub fn steps(request: &Message, schedule: &Schedule) -> Result<Vec<Step>> {
    let steps = match request.number("steps")? {
        0 => Vec::new(),
        count => schedule.steps_from(request.number("from")?, count)?,
    };
    if request.texts.get("variance").is_some_and(|rule| rule == "none") {
        let without_noise = |step: Step| Step { sigma: 0.0, ..step };
        return Ok(steps.into_iter().map(without_noise).collect());
    }
    let variance = variance(request)?;
    let with_noise = |step: Step| variance.map_or(step, |rule| step.with_variance(rule));
    Ok(steps.into_iter().map(with_noise).collect())
}

/// The rule for the steps' noise: the text `variance`; where there is none, it is left to the schedule.
fn variance(request: &Message) -> Result<Option<StepVariance>> {
    match request.texts.get("variance").map(String::as_str) {
        None => Ok(None),
        Some("beta") => Ok(Some(StepVariance::Beta)),
        Some("posterior") => Ok(Some(StepVariance::Posterior)),
        Some(other) => bail!("`variance` should be beta or posterior, got `{other}`"),
    }
}
