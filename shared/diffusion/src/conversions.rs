//! From noise to score, from score to noise, and (for the trainer) from either to the expected clean image.
//!
//! All three carry the same information. With `x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps`, the noise that a
//! network predicts is `E[eps | x_t]`, and the score is `-E[eps | x_t] / sqrt(1 - alpha_bar)`.

use ndarray::Array4;

use crate::forward::combine_batch;
use crate::{Schedule, ScoreError, model::check_same};

/// The score that belongs to a noise prediction: `s = -eps / sqrt(1 - alpha_bar_t)`.
///
/// # Panics
///
/// Unless `0 <= alpha_bar < 1`: the clean distribution (`t = 0`) has no score that could be had from noise.
pub fn score_from_noise(eps: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    assert!(
        (0.0..1.0).contains(&alpha_bar),
        "alpha_bar must be in [0, 1), got {alpha_bar}"
    );
    let factor = (-1.0 / (1.0 - alpha_bar).sqrt()) as f32;
    eps.mapv(|v| factor * v)
}

/// The noise prediction that belongs to a score: `eps = -sqrt(1 - alpha_bar_t) s`.
///
/// # Panics
///
/// Unless `0 <= alpha_bar <= 1`.
pub fn noise_from_score(score: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    assert!(
        (0.0..=1.0).contains(&alpha_bar),
        "alpha_bar must be in [0, 1], got {alpha_bar}"
    );
    let factor = -(1.0 - alpha_bar).sqrt() as f32;
    score.mapv(|v| factor * v)
}

/// Tweedie's formula with another time for each image: the expected clean images behind `x_t`.
///
/// This is the trainer's reference; task 2 asks you to derive the formula and to write it for one time.
///
/// # Errors
///
/// If the shapes or the number of times do not fit, or a time is outside `1..=T`.
pub fn tweedie_batch(
    schedule: &Schedule,
    x_t: &Array4<f32>,
    ts: &[usize],
    score: &Array4<f32>,
) -> Result<Array4<f32>, ScoreError> {
    check_same("score", x_t, score)?;
    combine_batch(schedule, x_t, score, ts, 1, |a| (1.0 / a.sqrt(), (1.0 - a) / a.sqrt()))
}
