//! Pseudo-inverse guidance: the likelihood of the measurement with the clean image known up to one variance.

use diffusion::{Observer, Pullback, Schedule, ScoreModel, StepVariance};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{noise_from_x0_hat, normal_like};
use crate::posterior::data_term::check;
use crate::posterior::walk::{Moment, Walk};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Pseudoinverse-Guided Diffusion Models for Inverse Problems (Song et al. 2023), Algorithm 1: with `p(x_0 | x_t)`
/// taken for `N(x0_hat, r_t^2 I)`, `r_t^2 = 1 - alpha_bar_t`,
///
/// ```text
/// g       = (d x0_hat / d x_t)^T A^T (A A^T + (sigma / r_t)^2 I)^{-1} (b - A x0_hat)
/// x_{t-1} = sqrt(alpha_bar_{t-1}) x0_hat + c_1 z + c_2 eps_hat + sqrt(alpha_bar_t) g
/// ```
///
/// where the first three terms are a step of DDIM: `c_1 = eta sigma_t` by the posterior variance, and `c_1^2 + c_2^2 =
/// 1 - alpha_bar_{t-1}`. `g / r_t^2` is the score of the likelihood, and is exact if the prior is Gaussian with unit
/// variance.
///
/// The weight of `g` is the same whatever the width of a step is: it is meant for few of them (the authors take 20 to
/// 100), and with many the measurement is followed too closely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pigdm {
    /// The part of the noise that is fresh, 0 to 1.
    pub eta: f64,
}

impl Pigdm {
    /// The authors' setting.
    pub const PUBLISHED: Self = Self { eta: 1.0 };

    fn step(
        self,
        problem: &Problem<'_>,
        now: &Moment<'_>,
        pullback: Pullback<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        let step = now.step;
        let r2 = 1.0 - step.alpha_bar;
        let linear = problem.operator.linear()?;
        let explained = linear.solve_gram(now.residual, problem.sigma.powi(2) / r2, 1.0)?;
        let g = now.back_to_x_t(problem, &explained, pullback)?;
        let c_1 = self.eta * step.with_variance(StepVariance::Posterior).sigma;
        let c_2 = (1.0 - step.alpha_bar_prev - c_1.powi(2)).sqrt();
        let eps_hat = noise_from_x0_hat(now.x_t, now.x0_hat, step);
        Ok(now.x0_hat * step.alpha_bar_prev.sqrt() as f32
            + normal_like(now.x_t, rng) * c_1 as f32
            + eps_hat * c_2 as f32
            + g * step.alpha_bar.sqrt() as f32)
    }
}

impl PosteriorMethod for Pigdm {
    fn name(&self) -> &'static str {
        "pigdm"
    }

    fn title(&self) -> String {
        "PiGDM".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Song et al. 2023, Pseudoinverse-Guided Diffusion Models for Inverse Problems, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Pullback, Need::Vjp, Need::GramSolve]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("eta {}, r_t^2 = 1 - alpha_bar_t", self.eta))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost::of_pullbacks(schedule, num_steps)?)
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
        walk.run_with_pullback(x_start, &mut |now, pullback| self.step(problem, now, pullback, rng))
    }
}
