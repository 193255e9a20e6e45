//! How much noise a reverse step adds, as the command line says it.

use clap::{Args, ValueEnum};
use diffusion::{Step, StepVariance};

/// The flag that chooses `sigma_t`, to be flattened into a task's own beside
/// [`CommonOptions`](crate::options::CommonOptions).
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct VarianceOptions {
    /// sigma_t^2, the variance of the noise that a step adds [default: beta where no time is left out (--steps 1000 for
    /// most priors), else posterior: with fewer steps beta leaves noise in the result].
    #[arg(long, value_enum)]
    pub variance: Option<Variance>,
}

/// Both choices of Ho et al. 2020, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variance {
    /// 1 - alpha_t, the lecture's.
    Beta,
    /// (1 - alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), that of x_{t-1} given x_t and x_0.
    Posterior,
}

impl VarianceOptions {
    /// The steps with the noise that was chosen; as they are if none was.
    #[must_use]
    pub fn apply(&self, steps: Vec<Step>) -> Vec<Step> {
        let Some(variance) = self.rule() else { return steps };
        steps.into_iter().map(|step| step.with_variance(variance)).collect()
    }

    /// The rule that was chosen; without one it is left to the schedule.
    #[must_use]
    pub fn rule(&self) -> Option<StepVariance> {
        self.variance.map(|variance| match variance {
            Variance::Beta => StepVariance::Beta,
            Variance::Posterior => StepVariance::Posterior,
        })
    }

    /// Name and value for the report's settings.
    #[must_use]
    pub fn setting(&self) -> (&'static str, String) {
        let value = match self.variance {
            None => "beta where no time is left out, else posterior",
            Some(Variance::Beta) => "beta",
            Some(Variance::Posterior) => "posterior",
        };
        ("variance of a step", value.to_owned())
    }
}
