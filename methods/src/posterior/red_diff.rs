//! RED-diff: one image is fitted to the measurement, while the network says at all levels of noise what is unlike an
//! image.

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::{ForwardOperator, OperatorKind};
use ndarray::{Array4, azip};
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{normal_like, standard_normal};
use crate::posterior::data_term::check;
use crate::posterior::walk::{Walk, at_time, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// A Variational Perspective on Solving Inverse Problems with Diffusion Models (Mardani et al. 2023), Algorithm 1. The
/// posterior is approximated by a Gaussian of small variance around `mu`; for `t` from `T` down, with `x_t =
/// sqrt(alpha_bar_t) mu + sqrt(1 - alpha_bar_t) eps`, one step of Adam goes down
///
/// ```text
/// 1/2 ||b - A(mu)||^2 + lambda sigma_t <eps_hat(x_t) - eps, mu>,     sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t)
/// ```
///
/// where the network is not differentiated. It is a point estimate, near the mode, that draws its `eps`; the first of
/// them takes the place of `x_T`. It starts at the operator's start image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RedDiff {
    /// None: those that are tuned for the operator.
    pub settings: Option<RedDiffSettings>,
}

/// What is free in [`RedDiff`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RedDiffSettings {
    /// How much the network says, above 0.
    pub lambda: f64,
    /// The step size of Adam, above 0.
    pub rate: f64,
}

impl RedDiffSettings {
    /// Those that served best on photographs kept for tuning, with 100 steps and `sigma = 0.05`
    /// (`examples/posterior_sweep.rs`).
    #[must_use]
    pub fn tuned(kind: OperatorKind) -> Self {
        let lambda = match kind {
            OperatorKind::ScatteredMask
            | OperatorKind::HoleMask
            | OperatorKind::Blur
            | OperatorKind::MotionBlur
            | OperatorKind::Downsampling
            | OperatorKind::Colourisation
            | OperatorKind::CompressedSensing
            | OperatorKind::Tomography
            | OperatorKind::Fourier => 0.1,
            OperatorKind::PhaseRetrieval | OperatorKind::Hdr => 0.25,
        };
        Self { lambda, rate: 0.1 }
    }
}

/// Adam (Kingma and Ba 2015), with the moments' decay of the authors' code.
struct Adam {
    rate: f64,
    steps: i32,
    first: Array4<f32>,
    second: Array4<f32>,
}

impl Adam {
    const DECAY: (f64, f64) = (0.9, 0.99);

    fn new(rate: f64, like: &Array4<f32>) -> Self {
        Self {
            rate,
            steps: 0,
            first: Array4::zeros(like.dim()),
            second: Array4::zeros(like.dim()),
        }
    }

    fn step(&mut self, mu: &mut Array4<f32>, gradient: &Array4<f32>) {
        self.steps += 1;
        let (keep_first, keep_second) = (Self::DECAY.0 as f32, Self::DECAY.1 as f32);
        let grown_first = 1.0 - Self::DECAY.0.powi(self.steps);
        let grown_second = 1.0 - Self::DECAY.1.powi(self.steps);
        let length = (self.rate / grown_first) as f32;
        let to_second = (1.0 / grown_second) as f32;
        azip!((mu in mu, m in &mut self.first, v in &mut self.second, &g in gradient) {
            *m = keep_first * *m + (1.0 - keep_first) * g;
            *v = keep_second * *v + (1.0 - keep_second) * g * g;
            *mu -= length * *m / ((*v * to_second).sqrt() + 1e-8);
        });
    }
}

impl RedDiff {
    /// With [`RedDiffSettings::tuned`].
    pub const TUNED: Self = Self { settings: None };

    fn settings_for(self, kind: OperatorKind) -> RedDiffSettings {
        self.settings.unwrap_or_else(|| RedDiffSettings::tuned(kind))
    }
}

/// The gradient of the sum that is minimised, at `mu`.
fn gradient(
    problem: &Problem<'_>,
    mu: &Array4<f32>,
    surprise: &Array4<f32>,
    weight: f64,
) -> Result<Array4<f32>, MethodError> {
    let unexplained = imaging::residual(problem.operator, problem.b, mu)?;
    Ok(surprise * weight as f32 - problem.operator.vjp(mu, &unexplained)?)
}

impl PosteriorMethod for RedDiff {
    fn name(&self) -> &'static str {
        "red-diff"
    }

    fn title(&self) -> String {
        "RED-diff".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Mardani et al. 2023, A Variational Perspective on Solving Inverse Problems with Diffusion Models, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Vjp]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        let RedDiffSettings { lambda, rate } = self.settings_for(operator.kind());
        Ok(format!("lambda {lambda}, Adam's rate {rate}"))
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
        let settings = self.settings_for(problem.operator.kind());
        let steps = &stepping.steps(model.schedule())?;
        let mut eps = standard_normal(problem.b.dim().0, model.image_shape(), rng);
        let mut mu = problem.operator.start_image(problem.b)?;
        let mut adam = Adam::new(settings.rate, &mu);
        let x_start = at_time(steps[0].alpha_bar, &mu, &eps);
        let walk = Walk::new(model, problem, steps, observer);
        walk.run(x_start, &mut |now| {
            let eps_hat = now.score * -(1.0 - now.step.alpha_bar).sqrt() as f32;
            let weight = settings.lambda * noise_level(now.step.alpha_bar);
            let downhill = gradient(problem, &mu, &(eps_hat - &eps), weight)?;
            adam.step(&mut mu, &downhill);
            let Some(next) = steps.get(now.index + 1) else {
                return Ok(mu.clone());
            };
            eps = normal_like(&mu, rng);
            Ok(at_time(next.alpha_bar, &mu, &eps))
        })
    }
}
