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

    /// As many steps, each of fewer times taken `repeats` times in a row (at least once); at least one time is visited.
    ///
    /// # Errors
    ///
    /// If `num_steps` is outside `1..=T`.
    pub fn repeated_steps(self, schedule: &Schedule, repeats: usize) -> Result<Vec<Step>, ScheduleError> {
        let asked = schedule.steps(self.num_steps)?.len();
        let repeats = repeats.max(1);
        let num_steps = (asked / repeats).max(1);
        let steps = Self { num_steps, ..self }.steps(schedule)?;
        Ok(steps.into_iter().flat_map(|step| vec![step; repeats]).collect())
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

impl Cost {
    /// One call for each step, without a pullback.
    ///
    /// # Errors
    ///
    /// If `num_steps` is outside `1..=T`.
    pub fn of_scores(schedule: &Schedule, num_steps: usize) -> Result<Self, ScheduleError> {
        Ok(Self {
            evaluations: schedule.steps(num_steps)?.len(),
            pullbacks: 0,
        })
    }

    /// One call for each step, and a pullback after it.
    ///
    /// # Errors
    ///
    /// As [`Self::of_scores`].
    pub fn of_pullbacks(schedule: &Schedule, num_steps: usize) -> Result<Self, ScheduleError> {
        let Self { evaluations, .. } = Self::of_scores(schedule, num_steps)?;
        Ok(Self {
            evaluations,
            pullbacks: evaluations,
        })
    }
}
