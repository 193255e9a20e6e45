//! Task 3, unconditional generation: from pure noise to images that do not exist, a small step at a time.
//!
//! You write the four functions of this file. The handout, `README.md` beside `src`, derives the formulas; the tests
//! (`cargo test -p task3_generate`) say in words what is wrong; `main.rs` runs the sampler and draws what it does.
//!
//! All arrays are batches `[B, C, H, W]` of `f32`; coefficients are `f64` and come in a [`Step`]: `step.alpha`,
//! `step.alpha_bar`, `step.alpha_bar_prev` are the lecture's `alpha_t`, `alpha_bar_t`, `alpha_bar_{t-1}`. Use these rather
//! than the schedule: they are right as well when the sampler skips times.

use diffusion::{Observer, ScoreError, ScoreModel, Step, StepView};
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

/// Which of the lecture's two ways of writing the DDPM step a sampler takes; they give the same result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepForm {
    /// [`ddpm_step_direct`], the left column of "DDPM: score prediction variants".
    #[default]
    Direct,
    /// [`ddpm_step_through_x0`], its right column.
    ThroughX0,
}

/// Exercise 3.1: one DDPM step, directly from the score.
///
/// `x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sqrt(1 - alpha_t) z`
///
/// - `x_t`: the noisy images, `[B, C, H, W]`
/// - `score`: `s`, the score of `p_t` at `x_t`, of the same shape
/// - `z`: fresh standard normal noise of the same shape; the caller passes zeros at the last step
/// - `step`: the coefficients
/// - returns `x_{t-1}`, of the same shape
///
/// Lecture: "DDPM: noise prediction vs. score prediction", right column (the left column has a wrong sign, see the
/// handout). Ho et al. 2020, Algorithm 2 with `sigma_t^2 = beta_t`.
pub fn ddpm_step_direct(
    x_t: &Array4<f32>,
    score: &Array4<f32>,
    z: &Array4<f32>,
    step: &Step,
) -> Array4<f32> {
    // BEGIN SOLUTION 3.1 climb the density by 1 - alpha_t, undo one step of shrinking, add noise
    let climb = (1.0 - step.alpha) as f32;
    let enlarge = (1.0 / step.alpha.sqrt()) as f32;
    let sigma = (1.0 - step.alpha).sqrt() as f32;
    (x_t + score * climb) * enlarge + z * sigma
    // END SOLUTION
}

/// Exercise 3.2, first half: the clean images that are expected behind `x_t` (Tweedie's formula, as in task 2).
///
/// `x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)`
///
/// - `x_t`, `score`: `[B, C, H, W]`
/// - returns `x0_hat`, of the same shape
///
/// Lecture: "DDPM: score prediction variants", right column, first line. Chung et al. 2023, Eq. 10.
pub fn predict_x0(x_t: &Array4<f32>, score: &Array4<f32>, step: &Step) -> Array4<f32> {
    // BEGIN SOLUTION 3.2a the formula of exercise 2.2, with the alpha_bar of this step
    let climb = (1.0 - step.alpha_bar) as f32;
    let enlarge = (1.0 / step.alpha_bar.sqrt()) as f32;
    (x_t + score * climb) * enlarge
    // END SOLUTION
}

/// Exercise 3.2, second half: one DDPM step through the expected clean images.
///
/// ```text
/// x_{t-1} = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t
///         + sqrt(alpha_bar_{t-1}) (1 - alpha_t) / (1 - alpha_bar_t) x0_hat
///         + sqrt(1 - alpha_t) z
/// ```
///
/// - arguments and result as for [`ddpm_step_direct`], which it equals to rounding; `x0_hat` comes from [`predict_x0`]
///
/// Lecture: "DDPM: score prediction variants", right column. Ho et al. 2020, Eq. 7 (the mean), with
/// `sigma_t^2 = beta_t`.
pub fn ddpm_step_through_x0(
    x_t: &Array4<f32>,
    score: &Array4<f32>,
    z: &Array4<f32>,
    step: &Step,
) -> Array4<f32> {
    // BEGIN SOLUTION 3.2b a weighted mean of x_t and x0_hat, plus noise
    let x0_hat = predict_x0(x_t, score, step);
    let of_x_t = step.alpha.sqrt() * (1.0 - step.alpha_bar_prev) / (1.0 - step.alpha_bar);
    let of_x0_hat = step.alpha_bar_prev.sqrt() * (1.0 - step.alpha) / (1.0 - step.alpha_bar);
    let sigma = (1.0 - step.alpha).sqrt();
    x_t * of_x_t as f32 + x0_hat * of_x0_hat as f32 + z * sigma as f32
    // END SOLUTION
}

/// Exercise 3.3: the sampling loop, from pure noise to `num_images` new images.
///
/// 1. Draw `x_T`, standard normal, of shape `[num_images, C, H, W]` (`model.image_shape()` knows `[C, H, W]`).
/// 2. For each of `steps`, in the order they come in (from `T` down):
///    - ask the model for the score at `step.t`: one call per step, no more;
///    - show the observer the step: a [`StepView`] with `x_t` (from before the step), `x0_hat`, and no residual;
///    - draw `z`, standard normal; at the last step (`step.is_last()`) `z = 0` instead;
///    - take the step in the given form.
/// 3. Return the result of the last step.
///
/// Draw from `rng` only: the same seed then gives the same images. Errors of the model and of the observer are handed on
/// with `?`.
///
/// Lecture: "DDPM: score prediction variants". Ho et al. 2020, Algorithm 2.
///
/// # Errors
///
/// Those of the model and of the observer.
pub fn sample(
    model: &dyn ScoreModel,
    num_images: usize,
    steps: &[Step],
    form: StepForm,
    rng: &mut impl Rng,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>, ScoreError> {
    // BEGIN SOLUTION 3.3 draw x_T; then for each step: score, observer, z, step
    let [c, h, w] = model.image_shape();
    let shape = (num_images, c, h, w);
    let mut x_t = Array4::random_using(shape, StandardNormal, rng);
    for (index, step) in steps.iter().enumerate() {
        let score = model.score(&x_t, step.t)?;
        let x0_hat = predict_x0(&x_t, &score, step);
        observer.observe(&StepView {
            step,
            index,
            num_steps: steps.len(),
            x_t: &x_t,
            x0_hat: &x0_hat,
            residual: None,
        })?;
        let z = if step.is_last() {
            Array4::zeros(shape)
        } else {
            Array4::random_using(shape, StandardNormal, rng)
        };
        x_t = match form {
            StepForm::Direct => ddpm_step_direct(&x_t, &score, &z, step),
            StepForm::ThroughX0 => ddpm_step_through_x0(&x_t, &score, &z, step),
        };
    }
    Ok(x_t)
    // END SOLUTION
}
