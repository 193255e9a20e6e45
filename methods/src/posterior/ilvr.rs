//! ILVR: every step ends with the measured part of the image replaced by that of the noised measurement.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::posterior::data_term::{check, measurement_at, proximal};
use crate::posterior::walk::{Moment, Walk, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// ILVR: Conditioning Method for Denoising Diffusion Probabilistic Models (Choi et al. 2021), Algorithm 1:
///
/// ```text
/// x'_{t-1} = the ancestral step
/// x_{t-1}  = x'_{t-1} + phi(y_{t-1}) - phi(x'_{t-1})
/// ```
///
/// with `phi` a low-pass filter and `y_{t-1}` the reference image at the noise of its time. For an inverse problem
/// `phi` is the projection `A^+ A` onto what `A` sees (for super-resolution that is the paper's filter), and
/// `phi(y_{t-1}) = A^+ b_{t-1}`, with `b_{t-1}` the noised measurement.
///
/// The paper's reference has no noise of its own. Where the measurement has, `b_{t-1}` says that much less of the
/// image, and `A^+` is taken with that slack, `A^T (A A^T + rho)^{-1}` with `rho = sigma^2 / sigma_{t-1}^2`, where
/// `sigma_{t-1}` is the image's noise relative to it: all of `b` counts at first, nothing at the end. With `sigma = 0`
/// it is the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ilvr;

/// The image nearest to `x` whose measurement is `b_t`, the noised measurement of its time, up to the noise in `b`.
pub(crate) fn replace_measured_part(
    problem: &Problem<'_>,
    x: Array4<f32>,
    alpha_bar: f64,
    rng: &mut dyn RngCore,
) -> Result<Array4<f32>, MethodError> {
    let noise = noise_level(alpha_bar);
    if noise == 0.0 && problem.sigma > 0.0 {
        return Ok(x);
    }
    let rho = match problem.sigma {
        0.0 => 0.0,
        sigma => (sigma / noise).powi(2),
    };
    let b_t = measurement_at(problem, alpha_bar, &x, rng)?;
    proximal(problem, &x, &b_t, rho)
}

impl PosteriorMethod for Ilvr {
    fn name(&self) -> &'static str {
        "ilvr"
    }

    fn title(&self) -> String {
        "ILVR".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Choi et al. 2021, ILVR: Conditioning Method for Denoising Diffusion Probabilistic Models, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::PseudoInverse, Need::Prox]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok("phi = A^T (A A^T + rho)^-1 A".to_owned())
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
        walk.run(x_start, &mut |now: &Moment<'_>| {
            let x = now.ancestral(now.x0_hat, rng);
            replace_measured_part(problem, x, now.step.alpha_bar_prev, rng)
        })
    }
}
