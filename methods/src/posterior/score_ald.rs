//! Score-ALD: calls what the student writes in task 5.

use diffusion::{Observer, Schedule, ScoreModel, Step};
use imaging::{ForwardOperator, operator_norm};
use ndarray::Array4;
use rand::RngCore;
use task5_score_ald::{Guidance, score_ald, stable_sigma, tuned_lambda};

use crate::error::MethodError;
use crate::needs::Need;
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Task 5, with the `lambda` that its handout's sweep led to.
///
/// Where steps of this size would overshoot, it reckons with more noise in the measurement than there is, as the task's
/// program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreAld;

fn guidance(problem: &Problem<'_>, steps: &[Step]) -> Result<Guidance, MethodError> {
    let norm = operator_norm(problem.operator)?;
    let lambda = tuned_lambda(steps.len(), norm);
    Ok(Guidance {
        sigma: problem.sigma.max(stable_sigma(steps, lambda, norm)),
        lambda,
    })
}

impl PosteriorMethod for ScoreAld {
    fn name(&self) -> &'static str {
        "score-ald"
    }

    fn title(&self) -> String {
        "task 5, Score-ALD".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Jalal et al. 2021, Robust Compressed Sensing MRI with Deep Generative Priors, Eq. 6"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Vjp]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, num_steps: usize) -> Result<String, MethodError> {
        Ok(format!(
            "lambda {:.4}",
            tuned_lambda(num_steps, operator_norm(operator)?)
        ))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost {
            evaluations: schedule.steps(num_steps)?.len(),
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
        let steps = stepping.steps(model.schedule())?;
        let guidance = guidance(problem, &steps)?;
        let Problem { operator, b, .. } = *problem;
        Ok(score_ald(model, operator, b, guidance, &steps, &mut rng, observer)?)
    }
}
