//! MCG: a step down the gradient of task 6, then the measured part replaced as in ILVR.

use diffusion::{Observer, Pullback, Schedule, ScoreModel};
use imaging::{ForwardOperator, OperatorKind, norms};
use ndarray::Array4;
use rand::RngCore;
use task6_dps::{StepSize, dps_step, measurement_gradient, step_sizes};

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::normal_like;
use crate::posterior::data_term::check;
use crate::posterior::ilvr::replace_measured_part;
use crate::posterior::walk::{Moment, Walk};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Improving Diffusion Models for Inverse Problems using Manifold Constraints (Chung et al. 2022), their step for
/// inpainting in the form that any linear `A` has:
///
/// ```text
/// x'_{t-1} = the ancestral step - alpha_t d/dx_t ||b - A x0_hat(x_t)||^2
/// x_{t-1}  = x'_{t-1} + A^+ (b_{t-1} - A x'_{t-1})
/// ```
///
/// with `b_{t-1}` the measurement at the noise of its time. `alpha_t = alpha / (2 ||b - A x0_hat||)`, as the authors'
/// code has it. The first line is DPS, which came a year later, left the second out, and does better where there is
/// noise in the measurement. The gradient is exercise 6.2, the step exercise 6.4; how `A^+` treats noise is said at
/// [`super::ilvr::Ilvr`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mcg {
    /// The `alpha` that is taken, over the tuned one.
    scale: f64,
}

impl Mcg {
    /// With the `alpha` that was tuned for DPS: the gradient is the same one.
    pub const TUNED: Self = Self { scale: 1.0 };

    /// The same with its `alpha` times `scale`, as [`super::dps::Dps::scaled`].
    #[must_use]
    pub const fn scaled(self, scale: f64) -> Self {
        Self { scale }
    }

    fn alpha(self, kind: OperatorKind, num_steps: usize) -> f64 {
        self.scale * task6_dps::tuned(kind, num_steps)
    }

    fn step(
        problem: &Problem<'_>,
        alpha: f64,
        now: &Moment<'_>,
        pullback: Pullback<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        let gradient = measurement_gradient(problem.operator, now.x0_hat, now.residual, pullback, now.step)?;
        let alpha_t = step_sizes(StepSize::Normalised(alpha), &norms(now.residual));
        let z = normal_like(now.x_t, rng);
        let x = dps_step(now.x_t, now.x0_hat, &gradient, &alpha_t, &z, now.step);
        replace_measured_part(problem, x, now.step.alpha_bar_prev, rng)
    }
}

impl PosteriorMethod for Mcg {
    fn name(&self) -> &'static str {
        "mcg"
    }

    fn title(&self) -> String {
        "MCG".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Chung et al. 2022, Improving Diffusion Models for Inverse Problems using Manifold Constraints"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Pullback, Need::Vjp, Need::PseudoInverse, Need::Prox]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, num_steps: usize) -> Result<String, MethodError> {
        Ok(format!("alpha {}", self.alpha(operator.kind(), num_steps)))
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
        let alpha = self.alpha(problem.operator.kind(), steps.len());
        let walk = Walk::new(model, problem, steps, observer);
        let x_start = walk.noise(rng);
        walk.run_with_pullback(x_start, &mut |now, pullback| {
            Self::step(problem, alpha, now, pullback, rng)
        })
    }
}
