//! Plug-and-play ADMM: the network as the denoiser in a splitting method of optimisation.

use diffusion::{Observer, Schedule, ScheduleError, ScoreModel, Step};
use imaging::{ForwardOperator, OperatorKind};
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::posterior::data_term::{check, proximal};
use crate::posterior::levels::{geometric, time_of};
use crate::posterior::walk::{Walk, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Plug-and-Play Priors for Model Based Reconstruction (Venkatakrishnan et al. 2013), with the network as the
/// denoiser `D`. From `v = A^T b` or what else the operator starts with, and `u = 0`:
///
/// ```text
/// x = argmin_z 1/2 ||A z - b||^2 + rho/2 ||z - (v - u)||^2,    rho = lambda sigma^2 / sigma_k^2
/// v = D(x + u; sigma_k)
/// u = u + x - v
/// ```
///
/// `D(y; sigma_k)` is `x0_hat` at the time whose noise level is `sigma_k`, for `x_t = sqrt(alpha_bar_t) y`. With one
/// `sigma_k` throughout it is the paper's; here it falls from `levels.0` to `levels.1`, as with fixed denoising many
/// more iterations are needed (Zhang et al. 2021, "Plug-and-Play Image Restoration with Deep Denoiser Prior"). It is a
/// point estimate: nothing is drawn. With a Gaussian prior and one level it converges to the posterior mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PnpAdmm {
    /// None: those that are tuned for the operator.
    pub settings: Option<PnpAdmmSettings>,
}

/// What is free in [`PnpAdmm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PnpAdmmSettings {
    /// How much the denoised image is trusted, relative to the measurement; above 0.
    pub lambda: f64,
    /// The first and the last `sigma_k`, standard deviations on the scale of [-1, 1], above 0.
    pub levels: (f64, f64),
}

impl PnpAdmmSettings {
    /// Those that served best on photographs kept for tuning, with 100 steps and `sigma = 0.05`
    /// (`examples/posterior_sweep.rs`).
    #[must_use]
    pub fn tuned(kind: OperatorKind) -> Self {
        let lambda = match kind {
            OperatorKind::ScatteredMask | OperatorKind::HoleMask => 1.0,
            OperatorKind::Blur
            | OperatorKind::MotionBlur
            | OperatorKind::Downsampling
            | OperatorKind::Colourisation
            | OperatorKind::CompressedSensing
            | OperatorKind::Tomography
            | OperatorKind::Fourier
            // Never asked for: neither has a proximal map.
            | OperatorKind::PhaseRetrieval
            | OperatorKind::Hdr => 0.3,
        };
        Self {
            lambda,
            levels: (1.0, 0.05),
        }
    }

    /// A whole denoising for each level.
    fn plan(&self, schedule: &Schedule, num_steps: usize) -> Result<Vec<Step>, ScheduleError> {
        let count = schedule.steps(num_steps)?.len();
        let levels = geometric(self.levels.0, self.levels.1, count);
        Ok(levels
            .iter()
            .map(|&level| schedule.step(time_of(schedule, level), 0))
            .collect())
    }
}

impl PnpAdmm {
    /// With [`PnpAdmmSettings::tuned`].
    pub const TUNED: Self = Self { settings: None };

    fn settings_for(self, kind: OperatorKind) -> PnpAdmmSettings {
        self.settings.unwrap_or_else(|| PnpAdmmSettings::tuned(kind))
    }
}

impl PosteriorMethod for PnpAdmm {
    fn name(&self) -> &'static str {
        "pnp-admm"
    }

    fn title(&self) -> String {
        "PnP-ADMM".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Venkatakrishnan et al. 2013, Plug-and-Play Priors for Model Based Reconstruction"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Prox]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        let PnpAdmmSettings {
            lambda,
            levels: (first, last),
        } = self.settings_for(operator.kind());
        Ok(format!("lambda {lambda}, sigma_k from {first} to {last}"))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost::of_scores(schedule, num_steps)?)
    }

    fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        _: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        check(self, problem)?;
        let settings = self.settings_for(problem.operator.kind());
        let steps = &settings.plan(model.schedule(), stepping.num_steps)?;
        let rho = |step: &Step| settings.lambda * (problem.sigma / noise_level(step.alpha_bar)).powi(2);
        let shrunk = |y: Array4<f32>, step: &Step| y * step.alpha_bar.sqrt() as f32;

        let v = problem.operator.start_image(problem.b)?;
        let mut u = Array4::<f32>::zeros(v.dim());
        let mut x = proximal(problem, &v, problem.b, rho(&steps[0]))?;
        let walk = Walk::new(model, problem, steps, observer);
        walk.run(shrunk(x.clone(), &steps[0]), &mut |now| {
            let v = now.x0_hat;
            u = &u + &x - v;
            let Some(next) = steps.get(now.index + 1) else {
                return Ok(v.clone());
            };
            x = proximal(problem, &(v - &u), problem.b, rho(next))?;
            Ok(shrunk(&x + &u, next))
        })
    }
}
