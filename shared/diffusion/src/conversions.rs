//! From noise to score.
//!
//! Both carry the same information. With `x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps`, the noise that a
//! network predicts is `E[eps | x_t]`, and the score is `-E[eps | x_t] / sqrt(1 - alpha_bar)` (Song et al. 2021,
//! "Score-based generative modeling through stochastic differential equations", section 3.4 and appendix C).

use ndarray::{Array4, ArrayRef4};

/// The score that belongs to a noise prediction: `s = -eps / sqrt(1 - alpha_bar_t)`.
///
/// # Panics
///
/// Unless `0 <= alpha_bar < 1`: the clean distribution (`t = 0`) has no score that could be had from noise.
#[must_use]
pub fn score_from_noise(eps: &ArrayRef4<f32>, alpha_bar: f64) -> Array4<f32> {
    assert!(
        (0.0..1.0).contains(&alpha_bar),
        "alpha_bar must be in [0, 1), got {alpha_bar}"
    );
    let factor = (-1.0 / (1.0 - alpha_bar).sqrt()) as f32;
    eps.mapv(|v| factor * v)
}
