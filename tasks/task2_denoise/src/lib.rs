//! Task 2, single-step denoising: noise an image, and ask the prior for the clean image behind it.
//!
//! You write the three functions of this file. The handout, `README.md` beside `src`, derives the formulas; the tests
//! (`cargo test -p task2_denoise`) say in words what is wrong; `main.rs` runs the functions on images.
//!
//! All arrays are batches `[B, C, H, W]` of `f32`; coefficients are `f64`. ndarray does arithmetic on whole arrays: with
//! `a` an `f32` and `x`, `y` of type `&Array4<f32>`, the expression `x * a + y` is an `Array4<f32>`.

use diffusion::{ScoreError, ScoreModel};
use ndarray::Array4;

/// Exercise 2.1: the forward process, in one jump from the clean images to time `t`.
///
/// `x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps`
///
/// - `x0`: the clean images, `[B, C, H, W]`
/// - `eps`: the noise, standard normal, of the same shape
/// - `alpha_bar_t`: `alpha_1 alpha_2 ... alpha_t`, from 1 (clean) to 0 (noise only)
/// - returns `x_t`, of the same shape
///
/// Lecture: "Denoising Diffusion Probabilistic Models (DDPM)", one-step forward diffusion. Ho et al. 2020, Eq. 4.
pub fn forward_diffusion(x0: &Array4<f32>, eps: &Array4<f32>, alpha_bar_t: f64) -> Array4<f32> {
    // BEGIN SOLUTION 2.1 mix image and noise so that the variances add up to one
    let signal = alpha_bar_t.sqrt() as f32;
    let noise = (1.0 - alpha_bar_t).sqrt() as f32;
    x0 * signal + eps * noise
    // END SOLUTION
}

/// Exercise 2.2: Tweedie's formula, the mean of all clean images that could be behind `x_t`.
///
/// `x0_hat = E[x_0 | x_t] = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)`, with the score
/// `s = grad log p_t(x_t)`
///
/// - `x_t`: the noisy images, `[B, C, H, W]`
/// - `score`: the score of `p_t` at `x_t`, of the same shape
/// - `alpha_bar_t`: greater than 0
/// - returns `x0_hat`, of the same shape
///
/// Lecture: "Diffusion Posterior Sampling (DPS)", Tweedie's formula for variance-preserving diffusion. Chung et al. 2023,
/// Eq. 10.
pub fn tweedie(x_t: &Array4<f32>, score: &Array4<f32>, alpha_bar_t: f64) -> Array4<f32> {
    // BEGIN SOLUTION 2.2 climb the density from x_t, then undo the shrinking
    let climb = (1.0 - alpha_bar_t) as f32;
    let enlarge = (1.0 / alpha_bar_t.sqrt()) as f32;
    (x_t + score * climb) * enlarge
    // END SOLUTION
}

/// Exercise 2.3: denoises a batch in a single step, with one call of the model.
///
/// Ask `model` for the score at time `t`, look up `alpha_bar_t` in its schedule, and apply [`tweedie`]. An error of the
/// model (a wrong shape, a `t` outside `1..=T`) is handed on with `?`.
///
/// - `x_t`: images noised to time `t`, `[B, C, H, W]`
/// - returns `x0_hat`, of the same shape
///
/// Lecture: "Diffusion Project", task 2.
///
/// # Errors
///
/// Those of the model.
pub fn denoise(
    model: &dyn ScoreModel,
    x_t: &Array4<f32>,
    t: usize,
) -> Result<Array4<f32>, ScoreError> {
    // BEGIN SOLUTION 2.3 the score from the model, alpha_bar from its schedule, then tweedie
    let score = model.score(x_t, t)?;
    Ok(tweedie(x_t, &score, model.schedule().alpha_bar(t)))
    // END SOLUTION
}
