//! Noise, its statistics, and how alike two batches are.

use ndarray::{Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Standard normal numbers of the shape `[B, C, H, W]`, from one seed.
#[must_use]
pub fn noise(shape: (usize, usize, usize, usize), seed: u64) -> Array4<f32> {
    Array4::random_using(shape, StandardNormal, &mut StdRng::seed_from_u64(seed))
}

/// Mean and standard deviation.
#[must_use]
pub fn mean_and_std<'a>(values: impl IntoIterator<Item = &'a f32>) -> (f64, f64) {
    let values: Vec<f64> = values.into_iter().map(|v| f64::from(*v)).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The cosine of the angle between two batches.
#[must_use]
pub fn alignment(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    (a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt()
}

/// Whether no image of a batch is off the first by more than `tolerance`.
#[must_use]
pub fn all_alike(batch: &Array4<f32>, tolerance: f32) -> bool {
    let first = batch.index_axis(Axis(0), 0);
    let is_first =
        |image: ndarray::ArrayView3<'_, f32>| image.iter().zip(&first).all(|(a, b)| (a - b).abs() <= tolerance);
    batch.outer_iter().all(is_first)
}
