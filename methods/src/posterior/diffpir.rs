//! DiffPIR: plug-and-play along the diffusion, a proximal step on the measurement after each denoising.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{noise_from_x0_hat, normal_like};
use crate::posterior::data_term::{check, proximal};
use crate::posterior::walk::{Moment, Walk, at_time, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Denoising Diffusion Models for Plug-and-Play Image Restoration (Zhu et al. 2023), Algorithm 1:
///
/// ```text
/// x_0'     = argmin_z ||A z - b||^2 + rho_t ||z - x0_hat||^2,     rho_t = lambda sigma^2 / sigma_t^2
/// eps_hat' = (x_t - sqrt(alpha_bar_t) x_0') / sqrt(1 - alpha_bar_t)
/// x_{t-1}  = sqrt(alpha_bar_{t-1}) x_0' + sqrt(1 - alpha_bar_{t-1}) (sqrt(1 - zeta) eps_hat' + sqrt(zeta) z)
/// ```
///
/// with `sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiffPir {
    /// How much the denoised image is trusted, relative to the measurement; above 0.
    pub lambda: f64,
    /// The part of the noise that is fresh, 0 to 1.
    pub zeta: f64,
}

impl DiffPir {
    /// What served best on photographs kept for tuning, for inpainting and deconvolution alike, with 100 steps and
    /// `sigma = 0.05` (`examples/posterior_sweep.rs`).
    pub const TUNED: Self = Self { lambda: 1.0, zeta: 1.0 };

    fn step(self, problem: &Problem<'_>, now: &Moment<'_>, rng: &mut dyn RngCore) -> Result<Array4<f32>, MethodError> {
        let rho_t = self.lambda * (problem.sigma / noise_level(now.step.alpha_bar)).powi(2);
        let x0 = proximal(problem, now.x0_hat, problem.b, rho_t)?;
        let eps_hat = noise_from_x0_hat(now.x_t, &x0, now.step);
        let noise = eps_hat * (1.0 - self.zeta).sqrt() as f32 + normal_like(now.x_t, rng) * self.zeta.sqrt() as f32;
        Ok(at_time(now.step.alpha_bar_prev, &x0, &noise))
    }
}

impl PosteriorMethod for DiffPir {
    fn name(&self) -> &'static str {
        "diffpir"
    }

    fn title(&self) -> String {
        "DiffPIR".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Zhu et al. 2023, Denoising Diffusion Models for Plug-and-Play Image Restoration, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Prox]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("lambda {}, zeta {}", self.lambda, self.zeta))
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
