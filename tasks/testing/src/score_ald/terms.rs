//! The terms of a step of Score-ALD, and what may stand in their places.

use checks::{Case, Quantity};
use imaging::norms;
use ndarray::Array4;

use super::VARIANCE;
use super::variances::{OTHER_VARIANCES, gamma_squared, variance};
use crate::path::Path;
use crate::sampler::{at, direct_mean, direct_terms, quantities_on};

pub(super) fn residual(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    &path.b - &path.operator.of(x)
}

/// What pulls an image to its measurement.
pub(super) fn pull(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    path.operator.back(x, &residual(path, x))
}

pub(super) fn terms(path: &Path, i: usize) -> Case {
    let ((x_t, next), x0_hat, step) = (path.around(i), path.x0_hat(i), &path.setting.steps[i]);
    let score = path.score(i);
    let images = path.setting.images;
    let r = residual(path, x_t);
    let before = path.around(i.saturating_sub(1)).0;
    let start = path.around(0).0;
    let moved = direct_mean("the prior's step").expected(&direct_terms(path, i));
    let clamped = x_t.mapv(|v| v.clamp(-1.0, 1.0));
    let of_clamped = x0_hat.mapv(|v| v.clamp(-1.0, 1.0));
    let root = step.alpha_bar.sqrt() as f32;
    let score_of_clamped = (&of_clamped * root - x_t) / (1.0 - step.alpha_bar) as f32;
    let values = |r: &Array4<f32>| -> Vec<f64> { norms(r).iter().map(|norm| f64::from(*norm)).collect() };
    let (sigma, lambda) = path.setting.guidance;
    let mut quantities = quantities_on(path, i);
    quantities.push(Quantity::plain("sigma", sigma));
    quantities.push(Quantity::plain("lambda", lambda));
    quantities.push(Quantity::plain("gamma_t", gamma_squared(path, i).sqrt()));
    quantities.push(Quantity::plain(VARIANCE, variance(path, i)));
    for other in &OTHER_VARIANCES {
        quantities.push(Quantity::rare(other.name, (other.value)(path, i)));
    }
    let pulled = pull(path, x_t);
    let lengths = values(&pulled);
    let whole = lengths.iter().map(|length| length.powi(2)).sum::<f64>().sqrt();
    let arrays = vec![x_t.clone(), score, pulled];
    Case::new(at(path, i), quantities, arrays, next.clone())
        .rare_of_each_image("||b - A x_t||", &values(&r))
        .rare_of_each_image("||b - A x0_hat||", &values(&residual(path, &x0_hat)))
        .rare_of_each_image("B", &vec![images as f64; images])
        .rare_of_each_image("||A^T (b - A x_t)||", &lengths)
        .rare_of_each_image("||A^T (b - A x_t)|| of the whole batch", &vec![whole; images])
        .other(
            2,
            pull(path, &x0_hat),
            "the likelihood score is taken at x0_hat: Score-ALD takes it at x_t as it is (x0_hat is the idea of DPS)",
        )
        .other(
            2,
            pull(path, &(x_t / root)),
            "the likelihood score is taken at x_t / sqrt(alpha_bar_t): Score-ALD takes it at x_t as it is",
        )
        .other(
            2,
            path.operator.back(x_t, &residual(path, &x0_hat)),
            "the residual in the likelihood score is b - A x0_hat; Score-ALD takes b - A x_t",
        )
        .other(
            2,
            pull(path, next),
            "the likelihood score is taken at x_{t-1}, after the step; it belongs to x_t, as the score does",
        )
        .other(
            2,
            pull(path, &moved),
            "the likelihood score is taken at the result of the prior's step; both scores belong to x_t",
        )
        .other(
            2,
            pull(path, before),
            "the likelihood score is that of the x_t of the step before",
        )
        .other(2, pull(path, start), "the likelihood score is always that of x_T")
        .other(
            2,
            pull(path, &clamped),
            "the likelihood score is taken at x_t clamped to [-1, 1]",
        )
        .other(
            2,
            pull(path, &of_clamped),
            "the likelihood score is taken at x0_hat clamped to [-1, 1]",
        )
        .other(
            2,
            path.operator.back(x_t, &path.b),
            "A x_t is not subtracted from b in the likelihood score",
        )
        .other(
            2,
            path.operator.back(x_t, &(&path.b * root - path.operator.of(x_t))),
            "b is multiplied by sqrt(alpha_bar_t) in the likelihood score; Score-ALD takes it as it is",
        )
        .other(
            1,
            path.probe.score(x_t, step.t_prev),
            "the score is that of step.t_prev",
        )
        .other(
            1,
            path.probe.score(before, step.t),
            "the score is that of the x_t of the step before",
        )
        .other(1, path.probe.score(start, step.t), "the score is always that of x_T")
        .other(1, score_of_clamped, "x0_hat is clamped to [-1, 1] in the step")
        .other(
            0,
            start.clone(),
            "every step starts from x_T: x_t is not replaced by the result of the step",
        )
        .other(0, before.clone(), "x_t is that of the step before")
        .other(0, x0_hat, "the step starts from x0_hat in place of x_t")
}
