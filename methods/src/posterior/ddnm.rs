//! DDNM: the range of the operator from the measurement, its null space from the prior.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::standard_normal;
use crate::posterior::data_term::{check, proximal};
use crate::posterior::walk::Walk;
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model (Wang et al. 2023), Algorithm 1:
///
/// ```text
/// x_{0|t}' = A^+ b + (I - A^+ A) x_{0|t}
/// x_{t-1}  = the ancestral step from x_t through x_{0|t}'
/// ```
///
/// For measurements without noise. What noise there is goes into the image as `A^+` passes it on: little for a mask, beyond
/// all bounds for a blur. [`super::ddnm_plus::DdnmPlus`] is for those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ddnm;

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
        Ok(String::new())
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
        let x_start = standard_normal(problem.b.dim().0, model.image_shape(), rng);
        let walk = Walk {
            model,
            problem,
            steps,
            observer,
        };
        walk.run(x_start, &mut |now| {
            let x0 = proximal(problem, now.x0_hat, problem.b, 0.0)?;
            Ok(now.ancestral(&x0, rng))
        })
    }
}
