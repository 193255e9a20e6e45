//! Whether what a sampler adds in its steps is fresh standard normal noise.

use ndarray::Array4;

/// Means and correlations may be off by so many of their standard deviations.
const DEVIATIONS: f64 = 6.0;

/// All noises together must be standard normal and independent of each other.
pub fn wrong_noise(noises: &[(String, Array4<f32>)]) -> Option<String> {
    for (what, z) in noises {
        let n = z.len() as f64;
        let (mean, variance) = moments(z);
        if mean.abs() > DEVIATIONS / n.sqrt() || (variance - 1.0).abs() > DEVIATIONS * (2.0 / n).sqrt() {
            return Some(format!(
                "In {what}, what is left after the formula should be fresh standard normal noise, but its mean is \
                 {mean:.3} and its variance {variance:.3}. It is what x_(t-1) - mean leaves, over sigma_t."
            ));
        }
        for (one, other) in z.outer_iter().zip(z.outer_iter().skip(1)) {
            if correlation(one.iter(), other.iter()) > DEVIATIONS / (one.len() as f64).sqrt() {
                return Some(format!(
                    "In {what}, images of the batch got the same noise: draw for each image."
                ));
            }
        }
    }
    for pair in noises.windows(2) {
        let ((_, one), (what, other)) = (&pair[0], &pair[1]);
        if correlation(one.iter(), other.iter()).abs() > DEVIATIONS / (one.len() as f64).sqrt() {
            return Some(format!(
                "In {what}, the noise is that of the step before: draw it anew in each step."
            ));
        }
    }
    None
}

fn moments(z: &Array4<f32>) -> (f64, f64) {
    let n = z.len() as f64;
    let mean = z.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, z.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n)
}

/// The cosine of the angle between two lists of numbers.
pub fn correlation<'v>(one: impl Iterator<Item = &'v f32>, other: impl Iterator<Item = &'v f32>) -> f64 {
    let (mut dot, mut squares) = (0.0, (0.0, 0.0));
    for (a, b) in one.zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        squares = (squares.0 + a * a, squares.1 + b * b);
    }
    dot / (squares.0 * squares.1).sqrt().max(1e-30)
}
