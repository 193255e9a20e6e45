//! From feature maps to a distance: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual
//! metric", equation 1.

use ndarray::ArrayView3;

/// Added to the length of a feature vector before dividing by it, as the authors' code does.
const EPSILON: f64 = 1e-10;

/// One stage of the distance: at each pixel the feature vectors of the two images, `[C, H, W]`, are scaled to length 1;
/// the squares of their differences are weighted by channel, summed over the channels and averaged over the pixels.
pub(super) fn stage_distance(a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>, weights: &[f32]) -> f64 {
    let (scale_a, scale_b) = (inverse_lengths(a), inverse_lengths(b));
    let mut sum = 0.0;
    for_each_channel(a, b, weights, |a, b, weight| {
        let mut of_channel = 0.0;
        for (((a, b), scale_a), scale_b) in a.iter().zip(b).zip(&scale_a).zip(&scale_b) {
            of_channel += (f64::from(*a) * scale_a - f64::from(*b) * scale_b).powi(2);
        }
        sum += weight * of_channel;
    });
    sum / scale_a.len() as f64
}

/// `1 / (|f| + epsilon)` of the feature vector `f` at each pixel.
fn inverse_lengths(features: ArrayView3<'_, f32>) -> Vec<f64> {
    let mut squares = vec![0.0; features.dim().1 * features.dim().2];
    for plane in features.outer_iter() {
        for (sum, value) in squares.iter_mut().zip(plane.iter()) {
            *sum += f64::from(*value).powi(2);
        }
    }
    squares.iter().map(|sum| 1.0 / (sum.sqrt() + EPSILON)).collect()
}

/// Calls `visit(a, b, weight)` with the planes of each channel.
fn for_each_channel(
    a: ArrayView3<'_, f32>,
    b: ArrayView3<'_, f32>,
    weights: &[f32],
    mut visit: impl FnMut(&[f32], &[f32], f64),
) {
    for ((a, b), weight) in a.outer_iter().zip(b.outer_iter()).zip(weights) {
        if let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) {
            visit(a, b, f64::from(*weight));
        }
    }
}
