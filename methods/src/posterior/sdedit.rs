//! SDEdit on a measurement: calls what the student writes in task 4.

use diffusion::{Observer, Schedule, ScheduleError, ScoreModel, Step};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;
use task4_sdedit::{restore, steps_from, tuned};

use crate::error::MethodError;
use crate::needs::Need;
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Task 4, from the start time and with the repeats that its handout's sweep led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdedit;

/// The tuned time, or the last one of a model that has fewer.
fn t0(operator: &dyn ForwardOperator, schedule: &Schedule) -> usize {
    tuned(operator.kind()).t0.min(schedule.num_steps())
}

/// As wide as those from `T` would be.
fn steps(operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Vec<Step>, ScheduleError> {
    steps_from(schedule, t0(operator, schedule), num_steps)
}

impl PosteriorMethod for Sdedit {
    fn name(&self) -> &'static str {
        "sdedit"
    }

    fn title(&self) -> String {
        "task 4, SDEdit".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Meng et al. 2022, SDEdit: Guided Image Synthesis and Editing, appendix C"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score]
    }

    fn settings(&self, operator: &dyn ForwardOperator, schedule: &Schedule, _: usize) -> Result<String, MethodError> {
        let repeats = tuned(operator.kind()).repeats;
        Ok(format!("t0 {}, {repeats} passes", t0(operator, schedule)))
    }

    fn cost(&self, operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost {
            evaluations: tuned(operator.kind()).repeats * steps(operator, schedule, num_steps)?.len(),
            pullbacks: 0,
        })
    }

    fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        mut rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        let Problem { operator, b, .. } = *problem;
        let steps = stepping.with_noise(steps(operator, model.schedule(), stepping.num_steps)?);
        let repeats = tuned(operator.kind()).repeats;
        Ok(restore(model, operator, b, &steps, repeats, &mut rng, observer)?)
    }
}
