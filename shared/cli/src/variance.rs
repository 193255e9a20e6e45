//! How much noise a reverse step adds, as the command line says it.

use clap::{Args, ValueEnum};
use diffusion::{Step, StepVariance};

/// The flag that chooses `sigma_t`, to be flattened into a task's own beside
/// [`CommonOptions`](crate::options::CommonOptions).
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct VarianceOptions {
    /// sigma_t^2, the variance of the noise that a step adds; with few steps the first leaves noise in the result.
    #[arg(long, value_enum, default_value_t = Variance::Beta)]
    pub variance: Variance,
}

/// Both choices of Ho et al. 2020, section 3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Variance {
    /// 1 - alpha_t, the lecture's.
    #[default]
    Beta,
    /// (1 - alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), that of x_{t-1} given x_t and x_0.
    Posterior,
}

impl VarianceOptions {
    /// The steps with the noise that was chosen.
    #[must_use]
    pub fn apply(&self, steps: Vec<Step>) -> Vec<Step> {
        let variance = self.rule();
        steps.into_iter().map(|step| step.with_variance(variance)).collect()
    }

    /// The rule that was chosen.
    #[must_use]
    pub fn rule(&self) -> StepVariance {
        match self.variance {
            Variance::Beta => StepVariance::Beta,
            Variance::Posterior => StepVariance::Posterior,
        }
    }

    /// Name and value for the report's settings.
    #[must_use]
    pub fn setting(&self) -> (&'static str, String) {
        let value = match self.variance {
            Variance::Beta => "beta",
            Variance::Posterior => "posterior",
        };
        ("variance of a step", value.to_owned())
    }
}
