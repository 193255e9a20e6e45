//! What can go wrong with Tweedie's formula, which every task has.

use checks::Check;
use diffusion::Step;
use ndarray::Array4;

/// `x0_hat = (x_t + (1 - alpha_bar) s) / sqrt(alpha_bar)`.
#[must_use]
pub fn x0_hat(x_t: &Array4<f32>, score: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t + score * (1.0 - alpha_bar) as f32) / alpha_bar.sqrt() as f32
}

/// The comparison of some `x0_hat` with `expected`, which [`x0_hat`] gives, with all the ways to combine `x_t` and the
/// score wrongly.
#[must_use]
pub fn tweedie_check<'a>(
    what: String,
    x_t: &'a Array4<f32>,
    score: &'a Array4<f32>,
    alpha_bar: f64,
    expected: &'a Array4<f32>,
) -> Check<'a> {
    let (climb, sigma, root) = (1.0 - alpha_bar, (1.0 - alpha_bar).sqrt(), alpha_bar.sqrt());
    let suspects = [
        (
            (1.0, climb),
            "x0_hat is off by a factor of sqrt(alpha_bar_t): did you divide by sqrt(alpha_bar_t)?",
        ),
        (
            (1.0 / alpha_bar, climb / alpha_bar),
            "x0_hat is divided by alpha_bar_t, without the square root, and so off by a factor of sqrt(alpha_bar_t)",
        ),
        (
            (root, climb * root),
            "x0_hat is off by a factor of alpha_bar_t: it is multiplied by sqrt(alpha_bar_t), not divided",
        ),
        (
            (1.0 / root, -climb / root),
            "the score has the wrong sign: it is added, since it points to where images are more likely; it is the \
             noise prediction that is subtracted",
        ),
        (
            (1.0 / root, sigma / root),
            "the score is multiplied by sqrt(1 - alpha_bar_t), the factor that belongs to a noise prediction; the \
             score's is 1 - alpha_bar_t",
        ),
        (
            (1.0 / root, -sigma / root),
            "the score is used as if it were a noise prediction: (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t) \
             is right for eps = -sqrt(1 - alpha_bar_t) s",
        ),
        (
            (1.0 / root, 1.0 / root),
            "the factor 1 - alpha_bar_t in front of the score is missing",
        ),
        (
            (1.0 / root, root),
            "the score is multiplied by alpha_bar_t; its factor is 1 - alpha_bar_t",
        ),
        (
            (1.0 / root, climb),
            "only x_t is divided by sqrt(alpha_bar_t), not the whole sum: are the brackets in place?",
        ),
        (
            (1.0, climb / root),
            "only the score is divided by sqrt(alpha_bar_t), not the whole sum: are the brackets in place?",
        ),
        (
            (1.0 / root, climb * climb / root),
            "the factor of the score is squared: it is 1 - alpha_bar_t",
        ),
        (
            (1.0 / root, 1.0 / (climb * root)),
            "the score is divided by 1 - alpha_bar_t; it should be multiplied",
        ),
        (
            (1.0 / root, 0.0),
            "the score plays no part in it: x_t is only enlarged, not denoised",
        ),
        (
            (climb / root, climb / root),
            "x_t is multiplied by 1 - alpha_bar_t too: only the score is",
        ),
        (
            (1.0 / sigma, climb / sigma),
            "the sum is divided by sqrt(1 - alpha_bar_t), not by sqrt(alpha_bar_t)",
        ),
        ((1.0, 0.0), "x_t came back unchanged"),
        ((0.0, 1.0), "the score came back unchanged"),
    ];
    let check = Check::new(what, expected)
        .formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)")
        .quantity("alpha_bar_t", alpha_bar)
        .quantity("1 - alpha_bar_t", climb)
        .term("x_t", x_t, 1.0 / root)
        .term("the score", score, climb / root);
    suspects.iter().fold(check, |check, ((p, q), because)| {
        check.suspect(&(x_t * *p as f32 + score * *q as f32), *because)
    })
}

/// Compares `predict_x0` with Tweedie's formula at the time of a step, whose other coefficients are suspects, too.
///
/// # Panics
///
/// With the diagnosis, if it is wrong.
#[track_caller]
pub fn check_predict_x0(name: &str, x_t: &Array4<f32>, score: &Array4<f32>, step: &Step, got: &Array4<f32>) {
    let root = step.alpha_bar.sqrt();
    let expected = x0_hat(x_t, score, step.alpha_bar);
    tweedie_check(format!("predict_x0, {name}"), x_t, score, step.alpha_bar, &expected)
        .quantity("alpha_t", step.alpha)
        .quantity("1 - alpha_t", step.beta())
        .quantity("alpha_bar_{t-1}", step.alpha_bar_prev)
        .quantity("1 - alpha_bar_{t-1}", 1.0 - step.alpha_bar_prev)
        .suspect(
            &x0_hat(x_t, score, step.alpha),
            "alpha_t is used where alpha_bar_t belongs",
        )
        .suspect(
            &x0_hat(x_t, score, step.alpha_bar_prev),
            "alpha_bar_{t-1} is used; x_t is at time t, so that it is alpha_bar_t",
        )
        .suspect(
            &(x_t * (1.0 / root) as f32 + score * (step.beta() / root) as f32),
            "the score is multiplied by 1 - alpha_t, one step's worth; x0_hat goes all the way: 1 - alpha_bar_t",
        )
        .verify(got);
}
