//! The step of ancestral sampling in other words than the samplers', to compare them with.

use diffusion::Step;
use ndarray::{Array4, Zip};

/// A step of ancestral sampling with the posterior's variance, from Bayes' rule: `x_{t-1}` given `x_t` and `x_0` is the
/// product of two Gaussians, whose precisions add up.
pub fn bayes_step(x_t: &Array4<f32>, x0: &Array4<f32>, z: &Array4<f32>, step: &Step) -> Array4<f32> {
    if step.is_last() {
        return x0.clone();
    }
    let from_x_t = step.alpha / step.beta();
    let from_x0 = 1.0 / (1.0 - step.alpha_bar_prev);
    let variance = 1.0 / (from_x_t + from_x0);
    let (of_x_t, of_x0) = (
        variance * from_x_t / step.alpha.sqrt(),
        variance * from_x0 * step.alpha_bar_prev.sqrt(),
    );
    Zip::from(x_t).and(x0).and(z).map_collect(|&x_t, &x0, &z| {
        (of_x_t * f64::from(x_t) + of_x0 * f64::from(x0) + variance.sqrt() * f64::from(z)) as f32
    })
}
