//! Task 6, diffusion posterior sampling (DPS): every step is pulled towards the measurement, through the network.
//!
//! You write the five functions of this file. The handout, `README.md` beside `src`, derives the formulas; the tests
//! (`cargo test -p task6_dps`) say in words what is wrong; `main.rs` runs the sampler on images.
//!
//! All arrays are batches of `f32`: images `[B, C, H, W]` with pixels in [-1, 1], measurements `[B, ...]` in the shape that
//! the operator gives them. Coefficients are `f64` and come in a [`Step`]: `step.alpha`, `step.alpha_bar`,
//! `step.alpha_bar_prev` are the lecture's `alpha_t`, `alpha_bar_t`, `alpha_bar_{t-1}`.

use anyhow::Result;
use diffusion::{Observer, Pullback, ScoreModel, Step, StepView};
use imaging::ForwardOperator;
use ndarray::{Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

/// How far a step goes along the gradient of `||b - A x0_hat||^2`: the two forms of `zeta_t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSize {
    /// `zeta_t = zeta / (2 ||b - A x0_hat||)`, for each image by itself: the step is then `zeta` times the gradient of the
    /// norm that is *not* squared. What the authors' code does, and what this course takes.
    Normalised(f64),
    /// `zeta_t = zeta`, the same at all times.
    Constant(f64),
}

/// Exercise 6.1: the clean images that are expected behind `x_t` (Tweedie's formula, as in task 2).
///
/// `x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)`
///
/// - `x_t`, `score`: `[B, C, H, W]`
/// - returns `x0_hat`, of the same shape
///
/// Lecture: "Diffusion Posterior Sampling (DPS)". Chung et al. 2023, Eq. 10.
pub fn predict_x0(x_t: &Array4<f32>, score: &Array4<f32>, step: &Step) -> Array4<f32> {
    // BEGIN SOLUTION 6.1 Tweedie's formula with the alpha_bar of this step
    let climb = (1.0 - step.alpha_bar) as f32;
    let enlarge = (1.0 / step.alpha_bar.sqrt()) as f32;
    (x_t + score * climb) * enlarge
    // END SOLUTION
}

/// Exercise 6.2: the gradient of `||b - A x0_hat(x_t)||^2` with respect to `x_t`, through the network.
///
/// With the residual `r = b - A x0_hat`, going back through one map after the other (the chain rule, transposed):
///
/// ```text
/// v        = -2 J_A(x0_hat)^T r                                gradient with respect to x0_hat; J_A = A if A is linear
/// gradient = (v + (1 - alpha_bar_t) J_s^T v) / sqrt(alpha_bar_t)     with respect to x_t, as x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)
/// ```
///
/// - `operator`: `A`; `operator.vjp(x0_hat, r)` is `J_A(x0_hat)^T r`
/// - `x0_hat`: from [`predict_x0`]; `residual`: `r`, in the measurement's shape
/// - `pullback`: `J_s^T`, what the model returned beside the score; it can be called once
/// - returns the gradient, `[B, C, H, W]`
///
/// Lecture: "DDPM vs. DPS", the last line of the DPS column. Chung et al. 2023, Eq. 14 to 16 and Algorithm 1, line 7.
///
/// # Errors
///
/// Those of the operator and of the pullback.
pub fn measurement_gradient(
    operator: &dyn ForwardOperator,
    x0_hat: &Array4<f32>,
    residual: &Array4<f32>,
    pullback: Pullback<'_>,
    step: &Step,
) -> Result<Array4<f32>> {
    // BEGIN SOLUTION 6.2 v = -2 A^T r, then through Tweedie's formula to x_t
    let v = operator.vjp(x0_hat, residual)? * -2.0;
    let through_network = pullback(&v)?;
    let weight = (1.0 - step.alpha_bar) as f32;
    let enlarge = (1.0 / step.alpha_bar.sqrt()) as f32;
    Ok((v + through_network * weight) * enlarge)
    // END SOLUTION
}

/// `||r||`, the Euclidean norm of each image's residual. (Given; exercises 6.3 and 6.5 need it.)
///
/// - `residual`: `[B, ...]`
/// - returns `B` numbers
#[must_use]
pub fn norms(residual: &Array4<f32>) -> Vec<f32> {
    let norm = |r: f64| r.sqrt() as f32;
    let squares = |one: ndarray::ArrayView3<'_, f32>| one.iter().map(|&r| f64::from(r).powi(2)).sum();
    residual.axis_iter(Axis(0)).map(squares).map(norm).collect()
}

/// Exercise 6.3: `zeta_t` of each image, what the gradient of the *squared* norm is multiplied with.
///
/// - for [`StepSize::Normalised`] it is `zeta / (2 ||r||)`, and 0 where the residual is 0: then there is nothing left to
///   correct
/// - for [`StepSize::Constant`] it is `zeta`
/// - `residual_norms`: from [`norms`]; one number for each image
///
/// Chung et al. 2023, Algorithm 1, line 7, and appendix C.2 for the normalised form.
#[must_use]
pub fn step_sizes(step_size: StepSize, residual_norms: &[f32]) -> Vec<f32> {
    // BEGIN SOLUTION 6.3 for each image by itself; a residual of zero asks for no step
    residual_norms
        .iter()
        .map(|&norm| match step_size {
            StepSize::Normalised(_) if norm == 0.0 => 0.0,
            StepSize::Normalised(zeta) => (zeta / (2.0 * f64::from(norm))) as f32,
            StepSize::Constant(zeta) => zeta as f32,
        })
        .collect()
    // END SOLUTION
}

/// Exercise 6.4: one step of DPS, the step of task 3 through `x0_hat`, then down the gradient.
///
/// ```text
/// x'_{t-1} = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t
///          + sqrt(alpha_bar_{t-1}) (1 - alpha_t) / (1 - alpha_bar_t) x0_hat
///          + sqrt(1 - alpha_t) z
/// x_{t-1}  = x'_{t-1} - zeta_t gradient
/// ```
///
/// - `x_t`, `x0_hat`, `gradient`: `[B, C, H, W]`, the gradient from [`measurement_gradient`]
/// - `zeta_t`: one number for each image, from [`step_sizes`]
/// - `z`: fresh standard normal noise; the caller passes zeros at the last step
/// - returns `x_{t-1}`, of the same shape
///
/// Lecture: "DDPM vs. DPS", right column. Chung et al. 2023, Algorithm 1, lines 6 and 7.
pub fn dps_step(
    x_t: &Array4<f32>,
    x0_hat: &Array4<f32>,
    gradient: &Array4<f32>,
    zeta_t: &[f32],
    z: &Array4<f32>,
    step: &Step,
) -> Array4<f32> {
    // BEGIN SOLUTION 6.4 the DDPM step through x0_hat; then each image down its own gradient, by its own zeta_t
    let of_x_t = step.alpha.sqrt() * (1.0 - step.alpha_bar_prev) / (1.0 - step.alpha_bar);
    let of_x0_hat = step.alpha_bar_prev.sqrt() * (1.0 - step.alpha) / (1.0 - step.alpha_bar);
    let sigma = (1.0 - step.alpha).sqrt();
    let mut x_prev = x_t * of_x_t as f32 + x0_hat * of_x0_hat as f32 + z * sigma as f32;
    for ((mut image, gradient), &zeta) in x_prev.outer_iter_mut().zip(gradient.outer_iter()).zip(zeta_t) {
        image.scaled_add(-zeta, &gradient);
    }
    x_prev
    // END SOLUTION
}

/// Exercise 6.5: the sampler, from pure noise to images that explain the measurements.
///
/// 1. Draw `x_T`, standard normal: one image for each measurement in `b`.
/// 2. For each of `steps`, in the order they come in:
///    - ask the model for the score and its pullback at `step.t`: one call of `score_with_pullback` per step, no more;
///    - compute `x0_hat` and the residual `b - A x0_hat`;
///    - show the observer the step: `x_t` (from before the step), `x0_hat`, and the norm of each image's residual;
///    - compute the gradient;
///    - draw `z`, standard normal; at the last step (`step.is_last()`) `z = 0` instead;
///    - take the step.
/// 3. Return the result of the last step.
///
/// Draw from `rng` only: the same seed then gives the same images. Errors are handed on with `?`.
///
/// - `operator`: `A`; its images must have the model's shape
/// - `b`: the measurements, `[B, ...operator.measurement_shape()]`
/// - returns `[B, C, H, W]`
///
/// Lecture: "DDPM vs. DPS", right column. Chung et al. 2023, Algorithm 1.
///
/// # Errors
///
/// Those of the model, of the operator (a measurement of the wrong shape, a NaN) and of the observer.
pub fn dps(
    model: &dyn ScoreModel,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
    step_size: StepSize,
    steps: &[Step],
    rng: &mut impl Rng,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>> {
    // BEGIN SOLUTION 6.5 draw x_T; then for each step: score and pullback, x0_hat, residual, observer, gradient, z, step
    let [c, h, w] = model.image_shape();
    let shape = (b.shape()[0], c, h, w);
    let mut x_t = Array4::random_using(shape, StandardNormal, rng);
    for (index, step) in steps.iter().enumerate() {
        let (score, pullback) = model.score_with_pullback(&x_t, step.t)?;
        let x0_hat = predict_x0(&x_t, &score, step);
        let residual = residual(operator, b, &x0_hat)?;
        let residual_norms = norms(&residual);
        observer.observe(&StepView {
            step,
            index,
            num_steps: steps.len(),
            x_t: &x_t,
            x0_hat: &x0_hat,
            residual: Some(&residual_norms),
        })?;
        let gradient = measurement_gradient(operator, &x0_hat, &residual, pullback, step)?;
        let z = if step.is_last() {
            Array4::zeros(shape)
        } else {
            Array4::random_using(shape, StandardNormal, rng)
        };
        let zeta_t = step_sizes(step_size, &residual_norms);
        x_t = dps_step(&x_t, &x0_hat, &gradient, &zeta_t, &z, step);
    }
    Ok(x_t)
    // END SOLUTION
}

/// `r = b - A x`, what an image leaves unexplained of a measurement. (Given.)
///
/// # Errors
///
/// If `b` has another shape than the measurements of `x`, or the operator refuses `x`.
pub fn residual(operator: &dyn ForwardOperator, b: &Array4<f32>, x: &Array4<f32>) -> Result<Array4<f32>> {
    let predicted = operator.apply(x)?;
    anyhow::ensure!(
        b.shape() == predicted.shape(),
        "the measurement b has shape {:?}, but {} makes measurements of shape {:?}: was b made with another operator?",
        b.shape(),
        operator.name(),
        predicted.shape()
    );
    Ok(b - predicted)
}

/// The `zeta` of [`StepSize::Normalised`] that served best for an operator of this name; the handout shows the sweep.
/// (Given.)
///
/// With fewer steps each has to go further: it grows as the steps get fewer, from its value at 1000.
#[must_use]
pub fn tuned(operator: &str, num_steps: usize) -> f64 {
    let at_1000_steps = match operator {
        "inpainting" | "box-inpainting" | "mask" => 0.75,
        _ => 2.0,
    };
    at_1000_steps * 1000.0 / num_steps.max(1) as f64
}
