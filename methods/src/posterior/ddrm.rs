//! DDRM: denoising and measurement are weighed against each other for each singular value by itself.

use diffusion::{Observer, Schedule, ScoreModel, Step};
use imaging::{ForwardOperator, SpectralOperator};
use ndarray::{Array2, Array4};
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{normal_like, standard_normal};
use crate::posterior::data_term::check;
use crate::posterior::walk::{Moment, Walk, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Denoising Diffusion Restoration Models (Kawar et al. 2022), section 3.2, in the authors' units: images divided by
/// `sqrt(alpha_bar_t)`, whose noise is `sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t)`. With `x_bar = V^T x`, `y_bar
/// = S^+ U^T b`, and `x_bar_0` that of the expected clean image, the coefficient of the singular value `s` becomes, at
/// the next time `t`,
///
/// ```text
/// s = 0:                x_bar_0 + sqrt(1 - eta^2) sigma_t (x_bar_{t+1} - x_bar_0) / sigma_{t+1}      + eta sigma_t z
/// sigma_t < sigma / s:  x_bar_0 + sqrt(1 - eta^2) sigma_t (y_bar - x_bar_0) / (sigma / s)            + eta sigma_t z
/// else:                 (1 - eta_b) x_bar_0 + eta_b y_bar             + sqrt(sigma_t^2 - eta_b^2 sigma^2 / s^2) z
/// ```
///
/// It starts at `y_bar` where `sigma_T` is larger than its noise `sigma / s`, with what is missing to `sigma_T` added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddrm {
    /// How much of the noise is fresh where nothing better is known, 0 to 1.
    pub eta: f64,
    /// How much is taken of measurements that are less noisy than the image, 0 to 1.
    pub eta_b: f64,
}

impl Ddrm {
    /// The authors' settings for all their experiments.
    pub const PUBLISHED: Self = Self { eta: 0.85, eta_b: 1.0 };

    /// The coefficient at the next time.
    fn next(self, known: &Coefficient, sigma_t: f64, sigma_before: f64, z: f64) -> f64 {
        let Coefficient {
            before,
            clean,
            measured,
        } = *known;
        let keep = (1.0 - self.eta.powi(2)).sqrt();
        match measured {
            Some((y, noise)) if sigma_t >= noise => {
                let fresh = (sigma_t.powi(2) - (self.eta_b * noise).powi(2)).sqrt();
                (1.0 - self.eta_b) * clean + self.eta_b * y + fresh * z
            }
            Some((y, noise)) => clean + keep * sigma_t * (y - clean) / noise + self.eta * sigma_t * z,
            None => clean + keep * sigma_t * (before - clean) / sigma_before + self.eta * sigma_t * z,
        }
    }

    /// The step from `x_t` to the next time.
    pub(crate) fn step(
        self,
        problem: &Measured<'_>,
        now: &Moment<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        let Step {
            alpha_bar,
            alpha_bar_prev,
            ..
        } = *now.step;
        let before = problem.operator.image_to_spectrum(now.x_t)?;
        let clean = problem.operator.image_to_spectrum(now.x0_hat)?;
        let mut z = problem.operator.image_to_spectrum(&normal_like(now.x_t, rng))?;
        for ((image, i), z) in z.indexed_iter_mut() {
            let known = Coefficient {
                before: f64::from(before[[image, i]]) / alpha_bar.sqrt(),
                clean: f64::from(clean[[image, i]]),
                measured: problem.measured(image, i),
            };
            let (sigma_t, sigma_before) = (noise_level(alpha_bar_prev), noise_level(alpha_bar));
            let next = self.next(&known, sigma_t, sigma_before, f64::from(*z));
            *z = (alpha_bar_prev.sqrt() * next) as f32;
        }
        Ok(problem.operator.spectrum_to_image(&z)?)
    }
}

/// What is known of one coefficient.
struct Coefficient {
    /// `x_bar_{t+1}`.
    before: f64,
    /// `x_bar_0`.
    clean: f64,
    /// `y_bar`, and its noise `sigma / s`; none where nothing is measured.
    measured: Option<(f64, f64)>,
}

/// The measurement in the basis of the singular vectors.
pub(crate) struct Measured<'a> {
    operator: &'a dyn SpectralOperator,
    s: Vec<f64>,
    /// `U^T b`, `[B, M]`.
    y: Array2<f32>,
    sigma: f64,
}

impl<'a> Measured<'a> {
    /// # Errors
    ///
    /// An operator without singular values.
    pub(crate) fn new(problem: &Problem<'a>) -> Result<Self, MethodError> {
        let operator = problem.operator.spectral()?;
        Ok(Self {
            operator,
            s: singular_values(operator),
            y: operator.measurement_to_spectrum(problem.b)?,
            sigma: problem.sigma,
        })
    }

    fn measured(&self, image: usize, i: usize) -> Option<(f64, f64)> {
        let s = *self.s.get(i).filter(|&&s| s > 0.0)?;
        Some((f64::from(self.y[[image, i]]) / s, self.sigma / s))
    }

    /// `x_T` from standard normal noise `[B, C, H, W]`: around `y_bar` what was measured well enough, around 0 the
    /// rest.
    pub(crate) fn start(&self, noise: &Array4<f32>, alpha_bar: f64) -> Result<Array4<f32>, MethodError> {
        let sigma_t = noise_level(alpha_bar);
        let mut start = self.operator.image_to_spectrum(noise)?;
        for ((image, i), start) in start.indexed_iter_mut() {
            let z = f64::from(*start);
            let from = match self.measured(image, i) {
                Some((y, noise)) if sigma_t >= noise => y + (sigma_t.powi(2) - noise.powi(2)).sqrt() * z,
                _ => sigma_t * z,
            };
            *start = (alpha_bar.sqrt() * from) as f32;
        }
        Ok(self.operator.spectrum_to_image(&start)?)
    }
}

/// The singular values with those that rounding drowns set to 0: below 2e-6 of the largest, an `f32` measurement says
/// nothing.
fn singular_values(operator: &dyn SpectralOperator) -> Vec<f64> {
    let values = operator.singular_values();
    let largest = values.iter().fold(0.0_f32, |largest, &s| largest.max(s));
    let heard = |s: f32| if s > 2e-6 * largest { f64::from(s) } else { 0.0 };
    values.into_iter().map(heard).collect()
}

impl PosteriorMethod for Ddrm {
    fn name(&self) -> &'static str {
        "ddrm"
    }

    fn title(&self) -> String {
        "DDRM".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Kawar et al. 2022, Denoising Diffusion Restoration Models, section 3.2"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::SingularValues]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("eta {}, eta_b {}", self.eta, self.eta_b))
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
        let measured = Measured::new(problem)?;
        let noise = standard_normal(problem.b.dim().0, model.image_shape(), rng);
        let x_start = measured.start(&noise, steps[0].alpha_bar)?;
        let walk = Walk::new(model, problem, steps, observer);
        walk.run(x_start, &mut |now| self.step(&measured, now, rng))
    }
}
