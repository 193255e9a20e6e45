//! What the methods of this crate share.

use diffusion::{Observer, ScoreError, ScoreModel, Step, StepView};
use ndarray::{Array4, ArrayRef4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::RngCore;
use task3_generate::predict_x0;

use crate::error::MethodError;

/// Independent standard normal numbers, `[num_images, C, H, W]`.
pub(crate) fn standard_normal(num_images: usize, [c, h, w]: [usize; 3], rng: &mut dyn RngCore) -> Array4<f32> {
    Array4::random_using((num_images, c, h, w), StandardNormal, rng)
}

/// Independent standard normal numbers in the shape of `like`.
pub(crate) fn normal_like(like: &ArrayRef4<f32>, rng: &mut dyn RngCore) -> Array4<f32> {
    Array4::random_using(like.dim(), StandardNormal, rng)
}

/// The noise in `x_t` where the clean images are `x0_hat`, `(x_t - sqrt(alpha_bar) x0_hat) / sqrt(1 - alpha_bar)`.
pub(crate) fn noise_from_x0_hat(x_t: &ArrayRef4<f32>, x0_hat: &ArrayRef4<f32>, step: &Step) -> Array4<f32> {
    let scale = (1.0 - step.alpha_bar).sqrt();
    linear(1.0 / scale, x_t, -step.alpha_bar.sqrt() / scale, x0_hat)
}

/// `a x + b y`; the coefficients are rounded once.
pub(crate) fn linear(a: f64, x: &ArrayRef4<f32>, b: f64, y: &ArrayRef4<f32>) -> Array4<f32> {
    x * a as f32 + y * b as f32
}

/// Walks along `steps`: asks the model once for each, shows the observer what is known then (the clean images that the
/// student's `predict_x0` expects), and goes where `take` leads.
pub(crate) fn walk(
    model: &dyn ScoreModel,
    x_start: Array4<f32>,
    steps: &[Step],
    observer: &mut dyn Observer,
    take: &mut dyn FnMut(&StepView<'_>) -> Result<Array4<f32>, MethodError>,
) -> Result<Array4<f32>, MethodError> {
    let mut x = x_start;
    for (index, step) in steps.iter().enumerate() {
        let x0_hat = predict_x0(&x, &model.score(&x, step.t)?, step);
        let now = StepView {
            step,
            index,
            num_steps: steps.len(),
            x_t: &x,
            x0_hat: &x0_hat,
            residual: None,
        };
        observer.observe(&now)?;
        x = take(&now)?;
    }
    Ok(x)
}

/// Stands between an observer and one of several passes: the observer sees one walk through the steps of all.
pub(crate) struct Pass<'a> {
    pass: usize,
    passes: usize,
    observer: &'a mut dyn Observer,
}

impl<'a> Pass<'a> {
    /// Pass number `pass`, from 0, of `passes`.
    pub(crate) fn new(pass: usize, passes: usize, observer: &'a mut dyn Observer) -> Self {
        Self { pass, passes, observer }
    }
}

impl Observer for Pass<'_> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.observer.observe(&StepView {
            index: self.pass * view.num_steps + view.index,
            num_steps: self.passes * view.num_steps,
            ..*view
        })
    }
}
