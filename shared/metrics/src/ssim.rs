//! The structural similarity index.

use ndarray::{ArrayRef3, ArrayView2, Axis};

use crate::error::{MetricError, check, to_unit};

const SIGMA: f64 = 1.5;
/// The window is cut off at 3.5 sigma: 11x11 pixels.
const RADIUS: usize = 5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// The structural similarity (Wang et al. 2004) of two images `[C, H, W]` in [-1, 1], 1 for equal images: an 11x11
/// Gaussian window of standard deviation 1.5, population covariances, the mean over the positions where the window lies
/// wholly inside the image, then over the channels. The prediction is clamped first.
///
/// This is scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
/// data_range=1` on images scaled to [0, 1].
///
/// # Errors
///
/// Images of different shapes or smaller than 11x11, values that are not finite, a ground truth outside of [-1, 1].
pub fn ssim(prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<f64, MetricError> {
    check("SSIM", 2 * RADIUS + 1, prediction, truth)?;
    let weights = window();
    let channels = prediction.axis_iter(Axis(0)).zip(truth.axis_iter(Axis(0)));
    let sum: f64 = channels.map(|(a, b)| of_channel(&a, &b, &weights)).sum();
    Ok(sum / truth.dim().0 as f64)
}

type Window = [f64; 2 * RADIUS + 1];

fn window() -> Window {
    let mut weights = [0.0; 2 * RADIUS + 1];
    for (index, weight) in weights.iter_mut().enumerate() {
        let distance = index as f64 - RADIUS as f64;
        *weight = (-0.5 * (distance / SIGMA).powi(2)).exp();
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

fn of_channel(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>, weights: &Window) -> f64 {
    let (height, width) = a.dim();
    // The five local moments: means of a, b, a^2, b^2 and ab.
    let pixels = || a.iter().zip(b.iter()).map(|(a, b)| (to_unit(*a), to_unit(*b)));
    let moments: [Vec<f64>; 5] = [
        average(pixels().map(|(a, _)| a).collect(), height, width, weights),
        average(pixels().map(|(_, b)| b).collect(), height, width, weights),
        average(pixels().map(|(a, _)| a * a).collect(), height, width, weights),
        average(pixels().map(|(_, b)| b * b).collect(), height, width, weights),
        average(pixels().map(|(a, b)| a * b).collect(), height, width, weights),
    ];
    let [mean_a, mean_b, mean_aa, mean_bb, mean_ab] = &moments;
    let sum: f64 = (0..mean_a.len())
        .map(|i| {
            let (a, b) = (mean_a[i], mean_b[i]);
            let (var_a, var_b, cov) = (mean_aa[i] - a * a, mean_bb[i] - b * b, mean_ab[i] - a * b);
            (2.0 * a * b + C1) * (2.0 * cov + C2) / ((a * a + b * b + C1) * (var_a + var_b + C2))
        })
        .sum();
    sum / mean_a.len() as f64
}

/// The weighted mean over the window at each position where it fits: `[H - 10, W - 10]`.
fn average(plane: Vec<f64>, height: usize, width: usize, weights: &Window) -> Vec<f64> {
    let (out_height, out_width) = (height - 2 * RADIUS, width - 2 * RADIUS);
    let mut rows = Vec::with_capacity(height * out_width);
    for row in plane.chunks_exact(width) {
        rows.extend(
            row.windows(weights.len())
                .map(|part| part.iter().zip(weights).map(|(p, w)| p * w).sum::<f64>()),
        );
    }
    let mut means = vec![0.0; out_height * out_width];
    for (y, out) in means.chunks_exact_mut(out_width).enumerate() {
        for (offset, weight) in weights.iter().enumerate() {
            let row = &rows[(y + offset) * out_width..][..out_width];
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    means
}
