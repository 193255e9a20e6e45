//! Task 4, SDEdit: noise drowns what is wrong with an image, and the way back puts something likely in its place.
//!
//! You write the six functions of this file that have an exercise's number. The handout, `README.md` beside `src`, derives
//! the formulas; the tests (`cargo test -p task4_sdedit`) say in words what is wrong; `main.rs` edits images with it, and
//! tries it on inverse problems.
//!
//! All arrays are batches of `f32`: images `[B, C, H, W]` with pixels in [-1, 1], measurements `[B, ...]` in the shape that
//! the operator gives them. Coefficients are `f64` and come in a [`Step`]: `step.alpha`, `step.alpha_bar`,
//! `step.alpha_bar_prev` are the lecture's `alpha_t`, `alpha_bar_t`, `alpha_bar_{t-1}`.

use anyhow::{Result, ensure};
use diffusion::{Observer, Schedule, ScheduleError, ScoreError, ScoreModel, Step, StepView};
use imaging::ForwardOperator;
use ndarray::{Array2, Array4, ArrayView3, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

/// Exercise 4.1: the guide as it would look at the time `t0`, had the forward process started from it.
///
/// `x_{t0} = sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps`
///
/// - `guide`: `[B, C, H, W]`
/// - `eps`: standard normal noise of the same shape
/// - `alpha_bar`: `alpha_bar_{t0}`, in [0, 1]
/// - returns `x_{t0}`, of the same shape
///
/// Lecture: "SDEdit", step 1. Meng et al. 2022, appendix C, the algorithms for the VP-SDE.
pub fn noise_guide(guide: &Array4<f32>, eps: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    // BEGIN SOLUTION 4.1 the forward process in one step
    let keep = alpha_bar.sqrt() as f32;
    let sigma = (1.0 - alpha_bar).sqrt() as f32;
    guide * keep + eps * sigma
    // END SOLUTION
}

/// Exercise 4.2, first half: the clean images that are expected behind `x_t` (Tweedie's formula, as in task 2).
///
/// `x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)`
///
/// - `x_t`, `score`: `[B, C, H, W]`
/// - returns `x0_hat`, of the same shape; here it is only shown to the observer
///
/// Lecture: "DDPM: score prediction variants". Chung et al. 2023, Eq. 10.
pub fn predict_x0(x_t: &Array4<f32>, score: &Array4<f32>, step: &Step) -> Array4<f32> {
    // BEGIN SOLUTION 4.2a Tweedie's formula with the alpha_bar of this step
    let climb = (1.0 - step.alpha_bar) as f32;
    let enlarge = (1.0 / step.alpha_bar.sqrt()) as f32;
    (x_t + score * climb) * enlarge
    // END SOLUTION
}

/// Exercise 4.2, second half: one DDPM step, directly from the score (as in task 3).
///
/// `x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sqrt(1 - alpha_t) z`
///
/// - `x_t`, `score`: `[B, C, H, W]`
/// - `z`: fresh standard normal noise of the same shape; the caller passes zeros at the last step
/// - returns `x_{t-1}`, of the same shape
///
/// Lecture: "DDPM: noise prediction vs. score prediction", right column. Ho et al. 2020, Algorithm 2 with
/// `sigma_t^2 = beta_t`.
pub fn reverse_step(x_t: &Array4<f32>, score: &Array4<f32>, z: &Array4<f32>, step: &Step) -> Array4<f32> {
    // BEGIN SOLUTION 4.2b climb the density by 1 - alpha_t, undo one step of shrinking, add noise
    let climb = (1.0 - step.alpha) as f32;
    let enlarge = (1.0 / step.alpha.sqrt()) as f32;
    let sigma = (1.0 - step.alpha).sqrt() as f32;
    (x_t + score * climb) * enlarge + z * sigma
    // END SOLUTION
}

/// Exercise 4.3: SDEdit. Noise the guide to the time where `steps` begin, then take all of them. (The mask is exercise 4.4;
/// leave it out at first.)
///
/// 1. Draw `eps`, standard normal, in the shape of `guide`, and noise the guide with it: `steps[0].alpha_bar` is
///    `alpha_bar_{t0}`.
/// 2. For each of `steps`, in the order they come in (from `t0` down):
///    - ask the model for the score at `step.t`: one call per step, no more;
///    - show the observer the step: a [`StepView`] with `x_t` (from before the step), `x0_hat`, and no residual;
///    - draw `z`, standard normal; at the last step (`step.is_last()`) `z = 0` instead, and nothing is drawn;
///    - take the step;
///    - with a mask: draw another `eps`, at the last step too, and put back what must not change, [`keep_outside`]; the
///      images are at the time `step.t_prev` by now.
/// 3. Return the result of the last step.
///
/// Draw from `rng` only, and in this order: the same seed then gives the same images. Errors of the model and of the
/// observer are handed on with `?`.
///
/// - `guide`: `[B, C, H, W]`, with the strokes, the patch, or whatever else is to become likely
/// - `mask`: what may change, `[H, W]`, 1 where it may and 0 where it must not; `None` where everything may
/// - `steps`: from [`steps_from`]; `steps[0].t` is `t0`. Without any, the guide is the result
/// - returns `[B, C, H, W]`
///
/// Lecture: "SDEdit". Meng et al. 2022, appendix C, the algorithms for the VP-SDE; for more of their `K` repeats call it
/// again with the result as guide.
///
/// # Errors
///
/// A mask of another shape, or with other numbers than 0 and 1; those of the model and of the observer.
pub fn sdedit(
    model: &dyn ScoreModel,
    guide: &Array4<f32>,
    mask: Option<&Array2<f32>>,
    steps: &[Step],
    rng: &mut impl Rng,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>> {
    check_mask(guide, mask)?;
    let Some(first) = steps.first() else {
        return Ok(guide.clone());
    };
    // BEGIN SOLUTION 4.3 noise the guide; then for each step: score, observer, z, step, mask
    let shape = guide.raw_dim();
    let eps = Array4::random_using(shape, StandardNormal, rng);
    let mut x_t = noise_guide(guide, &eps, first.alpha_bar);
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
        x_t = reverse_step(&x_t, &score, &z, step);
        if let Some(mask) = mask {
            let eps = Array4::random_using(shape, StandardNormal, rng);
            x_t = keep_outside(&x_t, guide, mask, &eps, step.alpha_bar_prev);
        }
    }
    Ok(x_t)
    // END SOLUTION
}

/// Exercise 4.4: puts back what must not change, with as much noise on it as the images have at this time.
///
/// `mask x_t + (1 - mask) (sqrt(alpha_bar_t) image + sqrt(1 - alpha_bar_t) eps)`
///
/// - `x_t`, `image`: `[B, C, H, W]`; `image` is clean
/// - `mask`: `[H, W]`, the same for all images and channels: 1 where `x_t` stays, 0 where `image` comes back
/// - `eps`: standard normal noise of the shape of `x_t`
/// - `alpha_bar`: at the time of `x_t`; at the end it is 1, and what is outside of the mask is `image` exactly
/// - returns an array of the shape of `x_t`
///
/// Meng et al. 2022, appendix C, the algorithm with a mask for the VP-SDE.
pub fn keep_outside(
    x_t: &Array4<f32>,
    image: &Array4<f32>,
    mask: &Array2<f32>,
    eps: &Array4<f32>,
    alpha_bar: f64,
) -> Array4<f32> {
    // BEGIN SOLUTION 4.4 x_t inside of the mask, the noised image outside
    let noised = noise_guide(image, eps, alpha_bar);
    let outside = 1.0 - mask;
    x_t * mask + noised * outside
    // END SOLUTION
}

/// Exercise 4.5: SDEdit on an inverse problem: a first guess from the measurements is the guide.
///
/// 1. The guide is `operator.start_image(b)`.
/// 2. So many times as `repeats` says: the guide becomes the result of [`sdedit`] on it, without a mask. The observer of
///    each pass is a [`Measured`], which adds the residual `||b - A x0_hat||` of each image.
/// 3. Return the last result.
///
/// The measurements are looked at once, for the guide. What that means is the handout's main point.
///
/// - `operator`: `A`; its images must have the model's shape
/// - `b`: the measurements, `[B, ...operator.measurement_shape()]`
/// - `steps`, `repeats`: free; [`tuned`] holds those that the handout's sweep led to
/// - returns `[B, C, H, W]`
///
/// Lecture: "Task 4: SDEdit for Inverse Problems". Meng et al. 2022 (`repeats` is their `K`).
///
/// # Errors
///
/// Those of the operator (measurements of the wrong shape, a NaN), of the model and of the observer.
pub fn restore(
    model: &dyn ScoreModel,
    operator: &dyn ForwardOperator,
    b: &Array4<f32>,
    steps: &[Step],
    repeats: usize,
    rng: &mut impl Rng,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>> {
    // BEGIN SOLUTION 4.5 the start image is the guide; each result is the guide of the next pass
    let mut guide = operator.start_image(b)?;
    for pass in 0..repeats {
        let mut measured = Measured {
            operator,
            b,
            pass,
            repeats,
            observer: &mut *observer,
        };
        guide = sdedit(model, &guide, None, steps, rng, &mut measured)?;
    }
    Ok(guide)
    // END SOLUTION
}

/// Stands between [`sdedit`] and an observer: adds the residual to what the observer sees, and counts the steps of all
/// passes through. (Given.)
pub struct Measured<'a> {
    /// `A`.
    pub operator: &'a dyn ForwardOperator,
    /// The measurements, `[B, ...measurement_shape()]`.
    pub b: &'a Array4<f32>,
    /// Which pass this is, from 0.
    pub pass: usize,
    /// How many there are.
    pub repeats: usize,
    /// Who is to see the steps.
    pub observer: &'a mut dyn Observer,
}

impl Observer for Measured<'_> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        let residual = residual_norms(self.operator, self.b, view.x0_hat)
            .map_err(|error| ScoreError::Backend(format!("at t = {}: {error}", view.step.t)))?;
        self.observer.observe(&StepView {
            index: self.pass * view.num_steps + view.index,
            num_steps: self.repeats * view.num_steps,
            residual: Some(&residual),
            ..*view
        })
    }
}

/// `||b - A x||` of each image: what it leaves unexplained of its measurement. (Given.)
///
/// - `b`: `[B, ...measurement_shape()]`
/// - `x`: `[B, C, H, W]`
/// - returns `B` numbers, at least 0
///
/// # Errors
///
/// If `b` has another shape than the measurements of `x`, or the operator refuses `x`.
pub fn residual_norms(operator: &dyn ForwardOperator, b: &Array4<f32>, x: &Array4<f32>) -> Result<Vec<f32>> {
    let predicted = operator.apply(x)?;
    ensure!(
        b.shape() == predicted.shape(),
        "the measurement b has shape {:?}, but {} makes measurements of shape {:?}: was b made with another operator?",
        b.shape(),
        operator.name(),
        predicted.shape()
    );
    let norm = |r: ArrayView3<'_, f32>| r.iter().map(|&r| f64::from(r).powi(2)).sum::<f64>().sqrt() as f32;
    Ok((b - predicted).axis_iter(Axis(0)).map(norm).collect())
}

/// The steps from `t0` down to 0, as wide as those of a way of `num_steps` steps from `T`; at least one. (Given.)
///
/// # Errors
///
/// If `t0` or `num_steps` is outside `1..=T`.
pub fn steps_from(schedule: &Schedule, t0: usize, num_steps: usize) -> Result<Vec<Step>, ScheduleError> {
    let max = schedule.num_steps();
    let share = (num_steps as f64 * t0 as f64 / max as f64).round() as usize;
    if num_steps == 0 || num_steps > max {
        // Only to be told which numbers are allowed.
        schedule.steps(num_steps)?;
    }
    schedule.steps_from(t0, share.max(1))
}

/// What [`restore`] is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time that the guide is noised to, `1..=T`.
    pub t0: usize,
    /// How many passes.
    pub repeats: usize,
}

/// The settings of the handout's sweep, for an operator's name; for others than the two that were swept, those of the one
/// that is nearest to them. (Given.)
#[must_use]
pub fn tuned(operator: &str) -> Settings {
    match operator {
        "inpainting" | "box-inpainting" | "mask" => Settings { t0: 500, repeats: 1 },
        _ => Settings { t0: 200, repeats: 1 },
    }
}

fn check_mask(guide: &Array4<f32>, mask: Option<&Array2<f32>>) -> Result<()> {
    let Some(mask) = mask else { return Ok(()) };
    let (_, _, height, width) = guide.dim();
    ensure!(
        mask.dim() == (height, width),
        "the mask has shape [H, W] = {:?}, expected {:?}, that of the guide",
        mask.shape(),
        [height, width]
    );
    if let Some(((y, x), value)) = mask.indexed_iter().find(|(_, value)| **value != 0.0 && **value != 1.0) {
        anyhow::bail!("the mask holds {value} at [{y}, {x}], expected 0 (must not change) or 1 (may change)");
    }
    Ok(())
}
