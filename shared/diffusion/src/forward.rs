//! The forward process, which turns an image into noise step by step.
//!
//! [`forward_kernel`] is one step of it, the lecture's "Variance-preserving forward diffusion". [`noise_batch`] is the
//! reference for jumping straight to a time of one's choice, with another time for each image: the trainer of the network
//! uses it. Task 2 asks you to derive and to write the same for one time yourself.

use ndarray::{Array4, Axis, Zip};

use crate::{Schedule, ScoreError, model::check_same};

/// One step of the forward process: `x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps`.
///
/// Lecture: "Denoising Diffusion Probabilistic Models (DDPM)"; Ho et al. 2020, Eq. 2.
///
/// # Panics
///
/// If the shapes differ.
pub fn forward_kernel(x_prev: &Array4<f32>, eps: &Array4<f32>, beta: f64) -> Array4<f32> {
    combine((1.0 - beta).sqrt(), x_prev, beta.sqrt(), eps)
}

/// Noises each image to its own time: image `i` to `ts[i]`, with the noise `eps[i]`. `t = 0` leaves an image as it is.
///
/// This is the trainer's reference; task 2 asks you to derive the formula.
///
/// # Errors
///
/// If `eps` has another shape than `x0`, `ts` another length than the batch, or a time is outside `0..=T`.
pub fn noise_batch(
    schedule: &Schedule,
    x0: &Array4<f32>,
    ts: &[usize],
    eps: &Array4<f32>,
) -> Result<Array4<f32>, ScoreError> {
    check_same("eps", x0, eps)?;
    let coefficients = |a: f64| (a.sqrt(), (1.0 - a).sqrt());
    combine_batch(schedule, x0, eps, ts, 0, coefficients)
}

/// `a x + b y`, elementwise.
pub(crate) fn combine(a: f64, x: &Array4<f32>, b: f64, y: &Array4<f32>) -> Array4<f32> {
    assert_eq!(x.dim(), y.dim(), "the two arrays must have the same shape");
    let (a, b) = (a as f32, b as f32);
    Zip::from(x).and(y).map_collect(|&x, &y| a * x + b * y)
}

/// `a x + b y` with other coefficients for each image: those that `coefficients` makes of its `alpha_bar`.
pub(crate) fn combine_batch(
    schedule: &Schedule,
    x: &Array4<f32>,
    y: &Array4<f32>,
    ts: &[usize],
    t_min: usize,
    coefficients: impl Fn(f64) -> (f64, f64),
) -> Result<Array4<f32>, ScoreError> {
    if ts.len() != x.dim().0 {
        return Err(ScoreError::Times {
            expected: x.dim().0,
            got: ts.len(),
        });
    }
    let max = schedule.num_steps();
    let mut out = Array4::zeros(x.dim());
    for (i, &t) in ts.iter().enumerate() {
        if !(t_min..=max).contains(&t) {
            return Err(ScoreError::Timestep { t, max });
        }
        let (a, b) = coefficients(schedule.alpha_bar(t));
        let (a, b) = (a as f32, b as f32);
        Zip::from(out.index_axis_mut(Axis(0), i))
            .and(x.index_axis(Axis(0), i))
            .and(y.index_axis(Axis(0), i))
            .for_each(|o, &x, &y| *o = a * x + b * y);
    }
    Ok(out)
}
