//! What a student may divide the likelihood score by in place of `sigma^2 + gamma_t^2`.

use crate::path::Path;

/// What may stand in the place of `sigma^2 + gamma_t^2`. No name is a part of another, so that remarks find theirs.
pub(super) struct OtherVariance {
    pub name: &'static str,
    pub because: &'static str,
    pub value: fn(&Path, usize) -> f64,
}

const fn other(name: &'static str, because: &'static str, value: fn(&Path, usize) -> f64) -> OtherVariance {
    OtherVariance { name, because, value }
}

pub(super) const OTHER_VARIANCES: [OtherVariance; 23] = [
    other(
        "gamma_t^2 alone",
        "sigma is 0 in the likelihood score, or step.sigma, which is 0 in these runs; it should be guidance.sigma",
        gamma_squared,
    ),
    other(
        "sigma^2 alone",
        "gamma_t is 0 in the likelihood score; it should be gamma(step, guidance.lambda)",
        |path, _| sigma(path).powi(2),
    ),
    other(
        "sigma^2 + sigma (1 - alpha_bar_t)",
        "gamma gets guidance.sigma where it should get guidance.lambda",
        |path, i| with_lambda(path, i, sigma(path)),
    ),
    other(
        "lambda^2 + gamma_t^2",
        "likelihood_score gets guidance.lambda where it should get guidance.sigma",
        |path, i| with_sigma(path, i, lambda(path)),
    ),
    other(
        "lambda^2 + sigma (1 - alpha_bar_t)",
        "guidance.sigma and guidance.lambda have changed places",
        |path, i| {
            let (sigma, lambda) = path.setting.guidance;
            lambda.powi(2) + sigma * noise(path, i)
        },
    ),
    other(
        "sigma^2 + gamma_t^2 of the first step",
        "gamma_t is that of the first step in all steps; it changes with every step",
        |path, _| variance(path, 0),
    ),
    other(
        "sigma^2 + gamma_t^2 of the last step",
        "gamma_t is that of the last step in all steps; it changes with every step",
        |path, _| variance(path, path.setting.steps.len() - 1),
    ),
    other(
        "sigma^2 + gamma_t^2 of the step before",
        "gamma_t is that of the step before",
        |path, i| variance(path, i.saturating_sub(1)),
    ),
    other(
        "sigma^2 + gamma_t^2 of the next step",
        "gamma_t is that of the next step",
        |path, i| variance(path, (i + 1).min(path.setting.steps.len() - 1)),
    ),
    other(
        "sigma^2 + gamma_t^2 of the step from the other end of `steps`",
        "gamma_t is that of the step from the other end of `steps`",
        |path, i| variance(path, path.setting.steps.len() - 1 - i),
    ),
    other(
        "sigma^2 + lambda (1 - alpha_bar_{t-1})",
        "gamma_t is that of the time the step leads to; it should be that of step.t",
        |path, i| {
            let (sigma, lambda) = path.setting.guidance;
            sigma.powi(2) + lambda * (1.0 - path.setting.steps[i].alpha_bar_prev)
        },
    ),
    other(
        "sigma^2 + lambda (1 - alpha_t)",
        "gamma_t is made of step.alpha; it should be made of step.alpha_bar",
        |path, i| {
            let (sigma, lambda) = path.setting.guidance;
            sigma.powi(2) + lambda * path.setting.steps[i].beta()
        },
    ),
    other(
        "sigma^2 + 1 - alpha_bar_t",
        "lambda is 1 in it; it should be guidance.lambda",
        |path, i| with_lambda(path, i, 1.0),
    ),
    other(
        "lambda + sigma^2",
        "sqrt(guidance.lambda) stands where gamma_t belongs",
        |path, _| {
            let (sigma, lambda) = path.setting.guidance;
            sigma.powi(2) + lambda
        },
    ),
    other(
        "lambda^2 + sigma^2",
        "guidance.lambda stands where gamma_t belongs: gamma(step, guidance.lambda)",
        |path, _| {
            let (sigma, lambda) = path.setting.guidance;
            sigma.powi(2) + lambda.powi(2)
        },
    ),
    other(
        "sigma^2 + lambda^2 (1 - alpha_bar_t)",
        "lambda^2 (1 - alpha_bar_t) stands where gamma_t^2 = lambda (1 - alpha_bar_t) belongs",
        |path, i| with_lambda(path, i, lambda(path).powi(2)),
    ),
    other(
        "sigma^2 + lambda^3 (1 - alpha_bar_t)",
        "lambda^3 (1 - alpha_bar_t) stands where gamma_t^2 = lambda (1 - alpha_bar_t) belongs",
        |path, i| with_lambda(path, i, lambda(path).powi(3)),
    ),
    other(
        "sigma^2 + gamma_t^4",
        "gamma_t^2 is handed to likelihood_score, which squares it again",
        |path, i| sigma(path).powi(2) + gamma_squared(path, i).powi(2),
    ),
    other(
        "gamma_t + sigma^2",
        "sqrt(gamma_t) is handed to likelihood_score where gamma_t belongs",
        |path, i| sigma(path).powi(2) + gamma_squared(path, i).sqrt(),
    ),
    other(
        "sigma^4 + gamma_t^2",
        "sigma^2 is handed to likelihood_score, which squares it again",
        |path, i| with_sigma(path, i, sigma(path).powi(2)),
    ),
    other(
        "sigma + gamma_t^2",
        "sqrt(sigma) is handed to likelihood_score where sigma belongs",
        |path, i| with_sigma(path, i, sigma(path).sqrt()),
    ),
    other(
        "(sigma / 2)^2 + gamma_t^2",
        "sigma is halved; it is on the scale of pixels in [-1, 1] already",
        |path, i| with_sigma(path, i, sigma(path) / 2.0),
    ),
    other(
        "(2 sigma)^2 + gamma_t^2",
        "sigma is doubled; it is on the scale of pixels in [-1, 1] already",
        |path, i| with_sigma(path, i, 2.0 * sigma(path)),
    ),
];

fn sigma(path: &Path) -> f64 {
    path.setting.guidance.0
}

fn lambda(path: &Path) -> f64 {
    path.setting.guidance.1
}

fn noise(path: &Path, i: usize) -> f64 {
    1.0 - path.setting.steps[i].alpha_bar
}

pub(super) fn gamma_squared(path: &Path, i: usize) -> f64 {
    lambda(path) * noise(path, i)
}

fn with_lambda(path: &Path, i: usize, lambda: f64) -> f64 {
    sigma(path).powi(2) + lambda * noise(path, i)
}

fn with_sigma(path: &Path, i: usize, sigma: f64) -> f64 {
    sigma.powi(2) + gamma_squared(path, i)
}

pub(super) fn variance(path: &Path, i: usize) -> f64 {
    with_sigma(path, i, sigma(path))
}
