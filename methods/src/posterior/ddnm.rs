//! DDNM: the range of the operator from the measurement, its null space from the prior.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{linear, noise_from_x0_hat, normal_like};
use crate::posterior::data_term::{check, proximal};
use crate::posterior::walk::{Moment, Walk, at_time};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model (Wang et al. 2023), Algorithm 1, with the
/// step of the authors' experiments, a DDIM whose noise is fresh for the most part:
///
/// ```text
/// x_{0|t}' = A^+ b + (I - A^+ A) x_{0|t}
/// x_{t-1}  = sqrt(alpha_bar_{t-1}) x_{0|t}' + sqrt(1 - alpha_bar_{t-1}) (sqrt(1 - eta^2) eps_hat + eta z)
/// ```
///
/// For measurements without noise. What noise there is goes into the image as `A^+` passes it on: little for a mask,
/// beyond all bounds for a blur. [`super::ddnm_plus::DdnmPlus`] is for those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddnm {
    /// The part of the noise that is fresh, 0 to 1.
    pub eta: f64,
}

impl Ddnm {
    /// The authors' setting for all their experiments.
    pub const PUBLISHED: Self = Self { eta: 0.85 };

    fn step(self, problem: &Problem<'_>, now: &Moment<'_>, rng: &mut dyn RngCore) -> Result<Array4<f32>, MethodError> {
        let x0 = proximal(problem, now.x0_hat, problem.b, 0.0)?;
        let eps_hat = noise_from_x0_hat(now.x_t, now.x0_hat, now.step);
        let z = normal_like(now.x_t, rng);
        let noise = linear((1.0 - self.eta.powi(2)).sqrt(), &eps_hat, self.eta, &z);
        Ok(at_time(now.step.alpha_bar_prev, &x0, &noise))
    }
}

impl PosteriorMethod for Ddnm {
    fn name(&self) -> &'static str {
        "ddnm"
    }

    fn title(&self) -> String {
        "DDNM".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Wang et al. 2023, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::PseudoInverse]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("eta {}", self.eta))
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
        let walk = Walk::new(model, problem, steps, observer);
        let x_start = walk.noise(rng);
        walk.run(x_start, &mut |now| self.step(problem, now, rng))
    }
}
