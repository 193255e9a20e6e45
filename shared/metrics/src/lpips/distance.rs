//! From feature maps to a distance: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual
//! metric", equation 1.

use ndarray::{ArrayView3, ArrayViewMut3};

/// Added to the length of a feature vector before dividing by it, as the authors' code does.
const EPSILON: f64 = 1e-10;

/// One stage of the distance: at each pixel the feature vectors of the two images, `[C, H, W]`, are scaled to length 1;
/// the squares of their differences are weighted by channel, summed over the channels and averaged over the pixels.
pub(super) fn stage_distance(a: ArrayView3<f32>, b: ArrayView3<f32>, weights: &[f32]) -> f64 {
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

/// Writes the gradient of [`stage_distance`] with respect to `a` into `gradient`.
///
/// With `n = |a|`, `u = a / (n + eps)` and `g = d distance / d u = 2 w (u - v) / P`, it is
/// `g / (n + eps) - a (g . a) / (n (n + eps)^2)`.
pub(super) fn stage_gradient(
    a: ArrayView3<f32>,
    b: ArrayView3<f32>,
    weights: &[f32],
    mut gradient: ArrayViewMut3<f32>,
) {
    let (scale_a, scale_b) = (inverse_lengths(a), inverse_lengths(b));
    let pixels = scale_a.len();
    let slope = |a: f32, b: f32, pixel: usize, weight: f64| {
        2.0 * weight / pixels as f64 * (f64::from(a) * scale_a[pixel] - f64::from(b) * scale_b[pixel])
    };
    let mut along = vec![0.0; pixels];
    for_each_channel(a, b, weights, |a, b, weight| {
        for (pixel, (a, b)) in a.iter().zip(b).enumerate() {
            along[pixel] += slope(*a, *b, pixel, weight) * f64::from(*a);
        }
    });
    // Where all features are zero the length has no gradient; zero is one of its subgradients.
    let pull: Vec<f64> = along
        .iter()
        .zip(&scale_a)
        .map(|(along, scale)| {
            let length = 1.0 / scale - EPSILON;
            if length > 0.0 {
                along * scale * scale / length
            } else {
                0.0
            }
        })
        .collect();
    let mut planes = gradient.outer_iter_mut();
    for_each_channel(a, b, weights, |a, b, weight| {
        let Some(mut plane) = planes.next() else { return };
        for (pixel, (out, (a, b))) in plane.iter_mut().zip(a.iter().zip(b)).enumerate() {
            *out = (slope(*a, *b, pixel, weight) * scale_a[pixel] - pull[pixel] * f64::from(*a)) as f32;
        }
    });
}

/// `1 / (|f| + epsilon)` of the feature vector `f` at each pixel.
fn inverse_lengths(features: ArrayView3<f32>) -> Vec<f64> {
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
    a: ArrayView3<f32>,
    b: ArrayView3<f32>,
    weights: &[f32],
    mut visit: impl FnMut(&[f32], &[f32], f64),
) {
    for ((a, b), weight) in a.outer_iter().zip(b.outer_iter()).zip(weights) {
        if let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) {
            visit(a, b, f64::from(*weight));
        }
    }
}
