//! The peak signal-to-noise ratio.

use ndarray::ArrayRef3;

use crate::error::{MetricError, check, to_unit};

/// The peak signal-to-noise ratio in dB, `-10 log10(mean squared error on [0, 1])`; infinite for equal images.
///
/// Images are `[C, H, W]` in [-1, 1]; the prediction is clamped first.
///
/// # Errors
///
/// Images of different shapes or without pixels, values that are not finite, a ground truth outside of [-1, 1].
pub fn psnr(prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<f64, MetricError> {
    check("PSNR", 1, prediction, truth)?;
    let sum: f64 = prediction
        .iter()
        .zip(truth)
        .map(|(a, b)| (to_unit(*a) - to_unit(*b)).powi(2))
        .sum();
    Ok(-10.0 * (sum / truth.len() as f64).log10())
}
