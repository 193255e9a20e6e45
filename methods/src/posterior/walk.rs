//! What the posterior methods share along the way from noise to an image: one call of the network a step, the residual
//! shown to the observer, and the moves that end a step.

use diffusion::{Observer, Pullback, ScoreError, ScoreModel, Step, StepView};
use imaging::{norms, residual};
use ndarray::Array4;
use rand::RngCore;
use task3_generate::predict_x0;
use task6_dps::{dps_step, measurement_gradient};

use crate::Problem;
use crate::error::MethodError;
use crate::parts::{linear, normal_like, standard_normal};

/// Where a walk leads, and past whom.
pub(crate) struct Walk<'a> {
    model: &'a dyn ScoreModel,
    problem: &'a Problem<'a>,
    /// One for each call of the network; a time may come more than once.
    steps: &'a [Step],
    observer: &'a mut dyn Observer,
}

/// The way from one step to the next: to `x_{t-1}` from what is known at `t`.
pub(crate) type Take<'t> = dyn FnMut(&Moment<'_>) -> Result<Array4<f32>, MethodError> + 't;

/// The same with the pullback of the score at `x_t`.
pub(crate) type TakeWithPullback<'t> = dyn FnMut(&Moment<'_>, Pullback<'_>) -> Result<Array4<f32>, MethodError> + 't;

/// What is known at a step before it is taken. Images are `[B, C, H, W]`.
pub(crate) struct Moment<'a> {
    pub(crate) step: &'a Step,
    pub(crate) index: usize,
    pub(crate) x_t: &'a Array4<f32>,
    pub(crate) score: &'a Array4<f32>,
    pub(crate) x0_hat: &'a Array4<f32>,
    /// `b - A x0_hat`, in the measurement's shape.
    pub(crate) residual: &'a Array4<f32>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        model: &'a dyn ScoreModel,
        problem: &'a Problem<'a>,
        steps: &'a [Step],
        observer: &'a mut dyn Observer,
    ) -> Self {
        Self {
            model,
            problem,
            steps,
            observer,
        }
    }

    /// `x_T` for each of the measurements: standard normal.
    pub(crate) fn noise(&self, rng: &mut dyn RngCore) -> Array4<f32> {
        standard_normal(self.problem.b.dim().0, self.model.image_shape(), rng)
    }

    /// Goes from `x_start` where `take` leads, with one forward pass of the network a step.
    pub(crate) fn run(self, x_start: Array4<f32>, take: &mut Take<'_>) -> Result<Array4<f32>, MethodError> {
        let mut x_t = x_start;
        for (index, step) in self.steps.iter().enumerate() {
            let score = self.model.score(&x_t, step.t)?;
            let x0_hat = predict_x0(&x_t, &score, step);
            let residual = residual(self.problem.operator, self.problem.b, &x0_hat)?;
            let now = Moment {
                step,
                index,
                x_t: &x_t,
                score: &score,
                x0_hat: &x0_hat,
                residual: &residual,
            };
            now.show(self.steps.len(), self.observer)?;
            x_t = take(&now)?;
        }
        Ok(x_t)
    }

    /// As [`Self::run`], with a pullback at each step, to be called once.
    pub(crate) fn run_with_pullback(
        self,
        x_start: Array4<f32>,
        take: &mut TakeWithPullback<'_>,
    ) -> Result<Array4<f32>, MethodError> {
        let mut x_t = x_start;
        for (index, step) in self.steps.iter().enumerate() {
            let (score, pullback) = self.model.score_with_pullback(&x_t, step.t)?;
            let x0_hat = predict_x0(&x_t, &score, step);
            let residual = residual(self.problem.operator, self.problem.b, &x0_hat)?;
            let now = Moment {
                step,
                index,
                x_t: &x_t,
                score: &score,
                x0_hat: &x0_hat,
                residual: &residual,
            };
            now.show(self.steps.len(), self.observer)?;
            x_t = take(&now, pullback)?;
        }
        Ok(x_t)
    }
}

impl Moment<'_> {
    fn show(&self, num_steps: usize, observer: &mut dyn Observer) -> Result<(), ScoreError> {
        observer.observe(&StepView {
            step: self.step,
            index: self.index,
            num_steps,
            x_t: self.x_t,
            x0_hat: self.x0_hat,
            residual: Some(&norms(self.residual)),
        })
    }

    /// The ancestral step of DDPM, with `x0` in the place of `x0_hat`; it draws nothing where it adds no noise.
    pub(crate) fn ancestral(&self, x0: &Array4<f32>, rng: &mut dyn RngCore) -> Array4<f32> {
        let z = if self.step.sigma > 0.0 {
            normal_like(x0, rng)
        } else {
            Array4::zeros(x0.dim())
        };
        self.ancestral_with(x0, &z)
    }

    /// The same with given noise: what the student writes in exercise 6.4, down no gradient.
    pub(crate) fn ancestral_with(&self, x0: &Array4<f32>, z: &Array4<f32>) -> Array4<f32> {
        let no_gradient = Array4::zeros(x0.dim());
        let zeta_t = vec![0.0; x0.dim().0];
        dps_step(self.x_t, x0, &no_gradient, &zeta_t, z, self.step)
    }

    /// `(d x0_hat / d x_t)^T A^T u`, through operator and network: the gradient that the student writes in exercise
    /// 6.2, which is -2 times that, with `u` in the place of the residual.
    ///
    /// - `u`: in the measurement's shape
    pub(crate) fn back_to_x_t(
        &self,
        problem: &Problem<'_>,
        u: &Array4<f32>,
        pullback: Pullback<'_>,
    ) -> Result<Array4<f32>, MethodError> {
        Ok(measurement_gradient(problem.operator, self.x0_hat, u, pullback, self.step)? * -0.5)
    }
}

/// Images with the noise of the time whose `alpha_bar` is given, `sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise`.
pub(crate) fn at_time(alpha_bar: f64, x0: &Array4<f32>, noise: &Array4<f32>) -> Array4<f32> {
    linear(alpha_bar.sqrt(), x0, (1.0 - alpha_bar).sqrt(), noise)
}

/// The noise of a time relative to the image, `sqrt((1 - alpha_bar) / alpha_bar)`: what papers on the
/// variance-exploding process call `sigma_t`.
pub(crate) fn noise_level(alpha_bar: f64) -> f64 {
    ((1.0 - alpha_bar) / alpha_bar).sqrt()
}
