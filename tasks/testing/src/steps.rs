//! Reverse steps to try a formula on.

use diffusion::{Schedule, Step, StepVariance};

/// Both rules for the noise of a step; `step.sigma` follows the one that was chosen.
pub const VARIANCES: [StepVariance; 2] = [StepVariance::Beta, StepVariance::Posterior];

/// Steps of the linear schedule and their names: ordinary ones and such as skip times, each with both rules for its
/// noise.
///
/// Only where times are skipped does `step.alpha` differ from the schedule's `alpha(t)`.
#[must_use]
pub fn steps() -> Vec<(String, Step)> {
    let schedule = Schedule::linear();
    let mut steps = Vec::new();
    for variance in VARIANCES {
        for (t, t_prev) in [(300, 299), (800, 799), (300, 200), (700, 450)] {
            let name = format!("step from t = {t} to {t_prev}, sigma_t by the rule {variance:?}");
            steps.push((name, schedule.step(t, t_prev).with_variance(variance)));
        }
    }
    steps
}

/// The same steps with the noise of another rule.
#[must_use]
pub fn with_variance(steps: Vec<Step>, variance: StepVariance) -> Vec<Step> {
    steps.into_iter().map(|step| step.with_variance(variance)).collect()
}
