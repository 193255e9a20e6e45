//! The quantities that coefficients of a step are made of, and what to say of those that do not belong there.

use checks::{Quantity, Sum};
use diffusion::{Schedule, Step};

/// What to add where a coefficient turns out to hold one of these.
const REMARKS: [(&str, &str); 11] = [
    (NOISY_DDIM_WEIGHT, "that is DDIM's step with noise, another sampler"),
    (
        "1 - alpha_bar_{t-1} - sigma_t^2",
        "1 - alpha_bar_{t-1} - sigma_t^2 belongs to DDIM, another sampler",
    ),
    (
        "alpha(t)",
        "alpha(t) and beta(t) = 1 - alpha(t) are those of the full schedule; this step skips times, and its own \
        alpha is \
         step.alpha",
    ),
    (
        "alpha_bar(t-1)",
        "alpha_bar(t-1) is the full schedule's; this step skips times, and ends at step.t_prev",
    ),
    (
        "alpha_bar(t+1)",
        "alpha_bar(t+1) is that of the time after t: an index is one off",
    ),
    (
        "alpha(t+1)",
        "alpha(t+1) is that of the time after t: an index is one off",
    ),
    (
        "t / T",
        "t / T belongs to a linear path, as in flow matching; here alpha_bar comes from the schedule",
    ),
    (DDIM_WEIGHT, "that is the deterministic step of DDIM, another sampler"),
    (
        "1 + (1 - alpha_t) / 2",
        "that is an Euler-Maruyama step of the reverse SDE: close to the DDPM step where steps are small, but another",
    ),
    (
        "2 - sqrt(alpha_t)",
        "that is the reverse diffusion step of Song et al.: close to the DDPM step where steps are small, but another",
    ),
    (
        "1 - sqrt(alpha_bar_t)",
        "the root of 1 - alpha_bar_t, or 1 - alpha_bar_t itself, is not 1 - sqrt(alpha_bar_t)",
    ),
];

/// The weight of `x0_hat` in a step of DDIM.
const DDIM_WEIGHT: &str = "sqrt(alpha_bar_{t-1}) - sqrt(alpha_bar_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t))";

/// The same with noise.
const NOISY_DDIM_WEIGHT: &str =
    "sqrt(alpha_bar_{t-1}) - sqrt(alpha_bar_t (1 - alpha_bar_{t-1} - sigma_t^2) / (1 - alpha_bar_t))";

/// The remarks on quantities of a step, put to a sum.
#[must_use]
pub fn with_remarks(sum: Sum) -> Sum {
    REMARKS
        .iter()
        .fold(sum, |sum, (name, remark)| sum.remark(*name, *remark))
}

/// Everything of a step that a coefficient may hold, rightly or wrongly.
#[must_use]
pub fn of_step(step: &Step) -> Vec<Quantity> {
    let schedule = Schedule::linear();
    let (alpha, abar, prev, t) = (step.alpha, step.alpha_bar, step.alpha_bar_prev, step.t);
    let last = schedule.num_steps();
    let ddim = prev.sqrt() - (abar * (1.0 - prev) / (1.0 - abar)).sqrt();
    let rest = 1.0 - prev - step.sigma.powi(2);
    let noisy_ddim = prev.sqrt() - (abar * rest / (1.0 - abar)).sqrt();
    let share = (t as f64 / last as f64).min(1.0 - 1e-9);
    let pair = |name: &str, value: f64| {
        [
            Quantity::plain(name, value),
            Quantity::plain(format!("1 - {name}"), 1.0 - value),
        ]
    };
    let rare = |name: &str, value: f64| {
        [
            Quantity::rare(name, value),
            Quantity::rare(format!("1 - {name}"), 1.0 - value),
        ]
    };
    [
        pair("alpha_t", alpha),
        pair("alpha_bar_t", abar),
        pair("alpha_bar_{t-1}", prev),
        rare("alpha(t)", schedule.alpha(t)),
        rare("alpha_bar(t-1)", schedule.alpha_bar(t - 1)),
        rare("alpha_bar(t+1)", schedule.alpha_bar((t + 1).min(last))),
        rare("alpha(t+1)", schedule.alpha((t + 1).min(last))),
        rare("t / T", share),
        rare("sqrt(alpha_bar_t)", abar.sqrt()),
        rare("sqrt(alpha_t)", alpha.sqrt()),
    ]
    .into_iter()
    .flatten()
    .chain([
        Quantity::plain("sigma_t", step.sigma),
        Quantity::rare("1 + alpha_bar_t", 1.0 + abar),
        Quantity::rare("1 + alpha_t", 1.0 + alpha),
        Quantity::rare(DDIM_WEIGHT, ddim),
        Quantity::rare(NOISY_DDIM_WEIGHT, noisy_ddim),
        Quantity::rare("1 - alpha_bar_{t-1} - sigma_t^2", rest),
        Quantity::rare("1 + (1 - alpha_t) / 2", 1.0 + (1.0 - alpha) / 2.0),
        Quantity::rare("2 - sqrt(alpha_t)", 2.0 - alpha.sqrt()),
        Quantity::constant("2", 2.0),
        Quantity::constant("T", last as f64),
    ])
    .collect()
}

/// The same for a function that knows `alpha_bar_t` alone.
#[must_use]
pub fn of_alpha_bar(alpha_bar: f64) -> Vec<Quantity> {
    let root = alpha_bar.sqrt();
    vec![
        Quantity::plain("alpha_bar_t", alpha_bar),
        Quantity::plain("1 - alpha_bar_t", 1.0 - alpha_bar),
        Quantity::rare("sqrt(alpha_bar_t)", root),
        Quantity::rare("1 - sqrt(alpha_bar_t)", 1.0 - root),
        Quantity::rare("1 + alpha_bar_t", 1.0 + alpha_bar),
        Quantity::constant("2", 2.0),
    ]
}
