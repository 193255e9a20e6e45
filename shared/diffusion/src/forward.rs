//! The forward process, which turns an image into noise step by step.

use ndarray::{Array4, ArrayRef4, Zip};

/// One step of the forward process: `x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps`.
///
/// Lecture: "Denoising Diffusion Probabilistic Models (DDPM)"; Ho et al. 2020, Eq. 2. Task 2 asks you to derive and to
/// write the jump to a time of one's choice.
///
/// # Panics
///
/// If the shapes differ.
#[must_use]
pub fn forward_kernel(x_prev: &ArrayRef4<f32>, eps: &ArrayRef4<f32>, beta: f64) -> Array4<f32> {
    assert_eq!(x_prev.dim(), eps.dim(), "the two arrays must have the same shape");
    let (keep, add) = ((1.0 - beta).sqrt() as f32, beta.sqrt() as f32);
    Zip::from(x_prev).and(eps).map_collect(|&x, &e| keep * x + add * e)
}
