//! What can go wrong with a DDPM step.

use checks::Check;
use diffusion::{Schedule, Step};
use ndarray::Array4;

use crate::step_noise::noise_suspects;

/// The coefficients of a step, for messages that name a factor.
#[must_use]
pub fn step_quantities<'a>(check: Check<'a>, step: &Step) -> Check<'a> {
    check
        .quantity("alpha_t", step.alpha)
        .quantity("1 - alpha_t", step.beta())
        .quantity("alpha_bar_t", step.alpha_bar)
        .quantity("1 - alpha_bar_t", 1.0 - step.alpha_bar)
        .quantity("alpha_bar_{t-1}", step.alpha_bar_prev)
        .quantity("1 - alpha_bar_{t-1}", 1.0 - step.alpha_bar_prev)
}

/// What to say of [`with_schedule`].
pub const WITH_SCHEDULE: &str = "alpha_t is that of the full schedule, alpha(t) or 1 - beta(t); this step skips \
                                 times, and its own alpha is alpha_bar_t / alpha_bar_{t-1}: use step.alpha";

/// The DDPM step with `alpha(t)` of the linear schedule in place of the step's own, which is another where times are
/// skipped.
///
/// - `x_t`, `score`, `z`: `[B, C, H, W]`
#[must_use]
pub fn with_schedule(step: &Step, [x_t, score, z]: [&Array4<f32>; 3]) -> Array4<f32> {
    let a = Schedule::linear().alpha(step.t);
    (x_t + score * (1.0 - a) as f32) / a.sqrt() as f32 + z * step.sigma as f32
}

/// Compares a step with `(x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z`, the direct form.
///
/// - `arrays`: `x_t`, the score and `z`, `[B, C, H, W]`
///
/// # Panics
///
/// With the diagnosis, if it is wrong.
#[track_caller]
pub fn check_direct_step(what: &str, arrays: [&Array4<f32>; 3], step: &Step, got: &Array4<f32>) {
    let [x, s, z] = arrays;
    let mix = |p: f64, q: f64, r: f64| x * p as f32 + s * q as f32 + z * r as f32;
    let (a, abar, beta) = (step.alpha, step.alpha_bar, step.beta());
    let (root, sigma) = (a.sqrt(), step.sigma);
    let of = |p: f64, q: f64| mix(p, q, sigma);
    let mean = mix(1.0 / root, beta / root, 0.0);
    let expected = of(1.0 / root, beta / root);
    let check = Check::new(what, &expected)
        .formula("x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z")
        .term("x_t", x, 1.0 / root)
        .term("the score", s, beta / root)
        .term("z", z, sigma)
        .suspect(&of(1.0, beta), "the division by sqrt(alpha_t) is missing")
        .suspect(
            &of(1.0 / a, beta / a),
            "the bracket is divided by alpha_t, without the square root",
        )
        .suspect(
            &of(root, beta * root),
            "the bracket is multiplied by sqrt(alpha_t); on the way back it is divided",
        )
        .suspect(
            &of(1.0 / abar.sqrt(), beta / abar.sqrt()),
            "the bracket is divided by sqrt(alpha_bar_t); a single step undoes the shrinking of a single step, \
             sqrt(alpha_t)",
        )
        .suspect(
            &of(1.0 / root, (1.0 - abar) / root),
            "the score is multiplied by 1 - alpha_bar_t, which jumps all the way to x0_hat; a single step takes \
             1 - alpha_t",
        )
        .suspect(
            &of(1.0 / abar.sqrt(), (1.0 - abar) / abar.sqrt()),
            "that is x0_hat (Tweedie's formula) plus noise: alpha_bar_t is used where alpha_t belongs",
        )
        .suspect(
            &mix(1.0 / abar.sqrt(), (1.0 - abar) / abar.sqrt(), (1.0 - abar).sqrt()),
            "alpha_bar_t is used everywhere alpha_t belongs",
        )
        .suspect(
            &of(1.0 / root, -beta / root),
            "the score has the wrong sign: a score is added; it is the noise prediction that is subtracted",
        )
        .suspect(
            &of(1.0 / root, beta / (root * (1.0 - abar).sqrt())),
            "the score is divided by sqrt(1 - alpha_bar_t), as the noise prediction is; the score needs no such \
             division",
        )
        .suspect(
            &of(1.0 / root, -beta / (root * (1.0 - abar).sqrt())),
            "the score is used as if it were the noise prediction: eps = -sqrt(1 - alpha_bar_t) s",
        )
        .suspect(
            &of(1.0 / root, beta.sqrt() / root),
            "the score is multiplied by sqrt(1 - alpha_t); its factor is 1 - alpha_t",
        )
        .suspect(
            &of(1.0 / root, 1.0 / root),
            "the factor 1 - alpha_t in front of the score is missing",
        )
        .suspect(
            &of(1.0 / root, root),
            "the score is multiplied by alpha_t; its factor is 1 - alpha_t",
        )
        .suspect(
            &of(1.0 / root, 0.0),
            "the score plays no part in it: x_t is only enlarged and noised",
        )
        .suspect(
            &of(1.0 / root, beta),
            "only x_t is divided by sqrt(alpha_t), not the whole bracket",
        )
        .suspect(
            &of(1.0, beta / root),
            "only the score is divided by sqrt(alpha_t), not the whole bracket",
        )
        .suspect(
            &of(root, beta.sqrt()),
            "that is a step of the forward process with the score added",
        )
        .suspect(
            &mix(root, 0.0, beta.sqrt()),
            "that is a step of the forward process, which adds noise: the way back enlarges x_t and adds the score",
        )
        .suspect(
            &of(1.0 + beta / 2.0, beta),
            "that is an Euler-Maruyama step of the reverse SDE: close, and right as the steps become small, but \
             not the DDPM step",
        )
        .suspect(
            &of(2.0 - root, beta),
            "that is the reverse step of Song et al. (reverse diffusion sampler): close, and right as the steps \
             become small, but not the DDPM step",
        )
        .suspect(x, "x_t came back unchanged")
        .suspect(&with_schedule(step, [x, s, z]), WITH_SCHEDULE);
    let check = noise_suspects(check, &mean, z, step);
    step_quantities(check, step).verify(got);
}
