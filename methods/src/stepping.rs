//! How a method is to walk from noise to an image, and what that costs.

use diffusion::{Schedule, ScheduleError, Step, StepVariance};

/// What is asked of every method alike, so that methods can be compared at the same expense.
///
/// A method may spend it as it likes (take several samples of fewer steps each), and says so in its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepping {
    /// How many of the schedule's times are visited, `1..=T`.
    pub num_steps: usize,
    /// The noise of a step, for methods that leave it open; others have a rule of their own. None is the schedule's
    /// choice, which depends on the number of steps ([`Schedule::steps`]).
    pub variance: Option<StepVariance>,
}

impl Stepping {
    /// So many steps, with the variance that the schedule chooses for them.
    #[must_use]
    pub fn new(num_steps: usize) -> Self {
        Self {
            num_steps,
            variance: None,
        }
    }

    /// The steps from `T` to 0, first step first.
    ///
    /// # Errors
    ///
    /// If `num_steps` is outside `1..=T`.
    pub fn steps(self, schedule: &Schedule) -> Result<Vec<Step>, ScheduleError> {
        Ok(self.with_noise(schedule.steps(self.num_steps)?))
    }

    /// The same steps with the noise that is asked for.
    #[must_use]
    pub fn with_noise(self, steps: Vec<Step>) -> Vec<Step> {
        let Some(variance) = self.variance else { return steps };
        steps.into_iter().map(|step| step.with_variance(variance)).collect()
    }
}

/// What a method asks of the network, whatever the number of images in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls of the network. Each is a step that the observer sees.
    pub evaluations: usize,
    /// Pullbacks: backward passes to the image, each after one of the calls.
    pub pullbacks: usize,
}
