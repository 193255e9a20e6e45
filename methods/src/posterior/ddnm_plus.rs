//! DDNM+: DDNM that takes no more from a noisy measurement than the noise of the step can hide.

use diffusion::{Observer, Schedule, ScoreModel, Step};
use imaging::{ForwardOperator, SpectralOperator};
use ndarray::{Array2, Array4, Zip, s};
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{normal_like, standard_normal};
use crate::posterior::data_term::check;
use crate::posterior::walk::{Moment, Walk};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model (Wang et al. 2023), Eq. 17 to 19, with the
/// singular values of appendix I. With `a_t` the weight of `x_0` in the ancestral step and `sigma_t` its noise, for each
/// singular value `s`:
///
/// ```text
/// x_{0|t}' = x_{0|t} + V Lambda S^+ (U^T b - S V^T x_{0|t}),   lambda = min(1, sigma_t s / (a_t sigma))
/// x_{t-1}  = the ancestral step through x_{0|t}', its noise V Phi V^T z,   phi^2 = sigma_t^2 - (a_t lambda sigma / s)^2
/// ```
///
/// so that the noise of the measurement and the added noise together are those of the step. What is not measured gets all
/// of `sigma_t`. With `sigma = 0` it is DDNM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DdnmPlus;

/// `lambda / s` and `phi` of one singular value.
#[derive(Clone, Copy, Debug)]
struct Weights {
    correction: f64,
    phi: f64,
}

impl Weights {
    fn new(s: f64, step: &Step, sigma: f64) -> Self {
        if s == 0.0 {
            return Self {
                correction: 0.0,
                phi: step.sigma,
            };
        }
        let a_t = step.alpha_bar_prev.sqrt() * step.beta() / (1.0 - step.alpha_bar);
        let lambda = if sigma > 0.0 {
            (step.sigma * s / (a_t * sigma)).min(1.0)
        } else {
            1.0
        };
        let passed_on = a_t * lambda * sigma / s;
        Self {
            correction: lambda / s,
            phi: (step.sigma.powi(2) - passed_on.powi(2)).max(0.0).sqrt(),
        }
    }
}

/// The singular values with those that rounding drowns set to 0: below 2e-6 of the largest, an `f32` measurement says
/// nothing.
pub(crate) fn singular_values(operator: &dyn SpectralOperator) -> Vec<f64> {
    let values = operator.singular_values();
    let largest = values.iter().fold(0.0_f32, |largest, &s| largest.max(s));
    let heard = |s: f32| if s > 2e-6 * largest { f64::from(s) } else { 0.0 };
    values.into_iter().map(heard).collect()
}

/// `x0_hat + V Lambda S^+ (U^T r)`, `r` the residual.
fn corrected(
    operator: &dyn SpectralOperator,
    weights: &[Weights],
    now: &Moment<'_>,
) -> Result<Array4<f32>, MethodError> {
    let r = operator.measurement_to_spectrum(now.residual)?;
    let mut change = Array2::zeros((r.nrows(), now.x0_hat.len() / r.nrows().max(1)));
    let mut seen = change.slice_mut(s![.., ..weights.len()]);
    for (mut change, r) in seen.rows_mut().into_iter().zip(r.rows()) {
        let one = Zip::from(&mut change).and(r);
        one.and(weights)
            .for_each(|to, &r, weights| *to = (weights.correction * f64::from(r)) as f32);
    }
    Ok(now.x0_hat + operator.spectrum_to_image(&change)?)
}

/// `V Phi V^T z / sigma_t`: with `sigma_t` before it, the noise of the step.
fn coloured(
    operator: &dyn SpectralOperator,
    weights: &[Weights],
    now: &Moment<'_>,
    rng: &mut dyn RngCore,
) -> Result<Array4<f32>, MethodError> {
    if now.step.sigma == 0.0 {
        return Ok(Array4::zeros(now.x_t.dim()));
    }
    // V^T z is as white as z.
    let mut z = operator.image_to_spectrum(&normal_like(now.x_t, rng))?;
    for mut z in z.rows_mut() {
        let measured = z.iter_mut().zip(weights);
        measured.for_each(|(z, weights)| *z *= (weights.phi / now.step.sigma) as f32);
    }
    Ok(operator.spectrum_to_image(&z)?)
}

impl PosteriorMethod for DdnmPlus {
    fn name(&self) -> &'static str {
        "ddnm-plus"
    }

    fn title(&self) -> String {
        "DDNM+".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Wang et al. 2023, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, Eq. 17 to 19"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::SingularValues]
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
        let operator = problem.operator.spectral()?;
        let s = singular_values(operator);
        let steps = &stepping.steps(model.schedule())?;
        let x_start = standard_normal(problem.b.dim().0, model.image_shape(), rng);
        let walk = Walk {
            model,
            problem,
            steps,
            observer,
        };
        walk.run(x_start, &mut |now| {
            let weights: Vec<Weights> = s.iter().map(|&s| Weights::new(s, now.step, problem.sigma)).collect();
            let x0 = corrected(operator, &weights, now)?;
            Ok(now.ancestral_with(&x0, &coloured(operator, &weights, now, rng)?))
        })
    }
}
