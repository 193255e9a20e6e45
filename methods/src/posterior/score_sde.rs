//! Score-SDE's way to condition: every step ends with a step towards the measurement at the noise of its time.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::posterior::data_term::{check, measurement_at};
use crate::posterior::walk::{Moment, Walk, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Score-based generative modeling through SDEs (Song et al. 2021), appendix I.2 for masks and channels, in the general
/// form of Daras et al. 2024, "A Survey on Diffusion Models for Inverse Problems", section 3.1:
///
/// ```text
/// x'_{t-1} = the ancestral step
/// b_{t-1}  = sqrt(alpha_bar_{t-1}) b + sqrt(1 - alpha_bar_{t-1}) A z
/// x_{t-1}  = x'_{t-1} + lambda A^T (b_{t-1} - A x'_{t-1}),    lambda = 1 / ||A||^2
/// ```
///
/// Where the rows of `A` are orthogonal and of one length this is a projection: what was measured is replaced by the
/// noised measurement (a mask's known pixels, for one). Elsewhere it is a gradient step. It knows of no measurement
/// noise; to keep that out of the image, the last steps, whose images are less noisy than the measurement, go
/// unconditioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreSde;

/// Whether the images of a time are noisier than the measurement. Later it has nothing to say that they do not know
/// better, and what it would put into them is its own noise.
fn is_worth_hearing(problem: &Problem<'_>, alpha_bar: f64) -> bool {
    noise_level(alpha_bar) >= problem.sigma
}

impl ScoreSde {
    fn step(
        problem: &Problem<'_>,
        lambda: f64,
        now: &Moment<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        let x = now.ancestral(now.x0_hat, rng);
        let alpha_bar = now.step.alpha_bar_prev;
        if !is_worth_hearing(problem, alpha_bar) {
            return Ok(x);
        }
        let b_t = measurement_at(problem, alpha_bar, &x, rng)?;
        let unexplained = imaging::residual(problem.operator, &b_t, &x)?;
        let towards = problem.operator.vjp(&x, &unexplained)?;
        Ok(x + towards * lambda as f32)
    }
}

impl PosteriorMethod for ScoreSde {
    fn name(&self) -> &'static str {
        "score-sde"
    }

    fn title(&self) -> String {
        "Score-SDE".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Song et al. 2021, Score-Based Generative Modeling through Stochastic Differential Equations, appendix I"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Linear, Need::Vjp]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok("lambda 1 / ||A||^2".to_owned())
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost::of_scores(schedule, num_steps)?)
    }

    fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        check(self, problem)?;
        let steps = &stepping.steps(model.schedule())?;
        let norm = problem.operator.linear()?.norm();
        // An operator that maps everything to 0 pulls nowhere.
        let lambda = if norm > 0.0 { norm.powi(-2) } else { 0.0 };
        let walk = Walk::new(model, problem, steps, observer);
        let x_start = walk.noise(rng);
        walk.run(x_start, &mut |now| Self::step(problem, lambda, now, rng))
    }
}
