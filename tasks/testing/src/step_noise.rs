//! What can go wrong with the noise of a step.

use checks::Check;
use diffusion::Step;
use ndarray::Array4;

/// The suspects of a step `mean + sigma_t z` that concern its noise alone.
///
/// - `mean`: the right mean of the step, `[B, C, H, W]`
/// - `z`: the noise that the step function was given, of the same shape
#[must_use]
pub fn noise_suspects<'a>(check: Check<'a>, mean: &Array4<f32>, z: &Array4<f32>, step: &Step) -> Check<'a> {
    let (beta, sigma) = (step.beta(), step.sigma);
    let posterior = beta * (1.0 - step.alpha_bar_prev) / (1.0 - step.alpha_bar);
    let suspects = [
        (0.0, "there is no noise in it: where is z?"),
        (
            sigma.powi(2),
            "z is scaled by the variance, sigma_t^2; it should be by the standard deviation, sigma_t = step.sigma",
        ),
        (
            beta,
            "z is scaled by the variance, 1 - alpha_t; it should be by the standard deviation, sigma_t = step.sigma",
        ),
        (1.0, "z is not scaled: its standard deviation is sigma_t = step.sigma"),
        (-sigma, "z is subtracted; the formula adds it"),
        (
            (1.0 - step.alpha_bar).sqrt(),
            "z is scaled by sqrt(1 - alpha_bar_t), the noise of all steps together; this step adds sigma_t = \
             step.sigma",
        ),
        (
            beta.sqrt(),
            "z is scaled by sqrt(1 - alpha_t); this step's sigma_t is step.sigma, which follows the other rule, that \
             of the posterior variance (task 3, \"How much noise?\"). Take step.sigma: it is right with either",
        ),
        (
            posterior.sqrt(),
            "z is scaled by the root of the posterior variance, (1 - alpha_t) (1 - alpha_bar_{t-1}) / (1 - \
             alpha_bar_t); this step's sigma_t is step.sigma, which follows the other rule, sqrt(1 - alpha_t) (task 3, \
             \"How much noise?\"). Take step.sigma: it is right with either",
        ),
        (
            step.alpha.sqrt(),
            "z is scaled by sqrt(alpha_t); it should be by sigma_t = step.sigma",
        ),
        (
            sigma / step.alpha.sqrt(),
            "z is divided by sqrt(alpha_t) with the rest: the noise belongs outside the bracket",
        ),
    ];
    // A rule that gives this step the right noise is no suspect.
    let differs = |scale: &f64| (scale - sigma).abs() > 1e-3 * sigma;
    suspects
        .iter()
        .filter(|(scale, _)| differs(scale))
        .fold(check, |check, (scale, because)| {
            check.suspect(&(mean + z * *scale as f32), *because)
        })
}

/// What the noise that a loop has added is divided by to look at `z`: `sigma_t`; at the last step, where that is 0,
/// what a step that is not the last would have had.
#[must_use]
pub fn noise_scale(step: &Step) -> f64 {
    if step.is_last() { step.beta().sqrt() } else { step.sigma }
}
