//! Random numbers, measurements, and statistics of batches.

use anyhow::{Context, Result, ensure};
use imaging::{ForwardOperator, Noise};
use ndarray::{Array2, Array4, ArrayRef4, Axis, concatenate};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Random numbers from a seed: the same seed gives the same images.
#[must_use]
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Standard normal noise in the shape of `images`.
#[must_use]
pub fn normal_like(images: &ArrayRef4<f32>, seed: u64) -> Array4<f32> {
    Array4::random_using(images.raw_dim(), StandardNormal, &mut rng(seed))
}

/// `b = A(x) + noise`, Gaussian with the standard deviation `sigma` on the scale of [-1, 1].
///
/// - `truth`: `[B, C, H, W]`; image number i has its noise from `seed + i`
/// - returns `[B, ...operator.measurement_shape()]`
///
/// # Errors
///
/// Images of a shape that the operator does not take; a `sigma` below 0.
pub fn measure(operator: &dyn ForwardOperator, truth: &ArrayRef4<f32>, sigma: f64, seed: u64) -> Result<Array4<f32>> {
    Ok(imaging::measure(operator, truth, Noise::Gaussian { sigma }, seed, 0)?)
}

/// The first of a batch, `count` times: `[count, ...]`.
///
/// # Errors
///
/// If the batch is empty.
pub fn repeat(batch: &ArrayRef4<f32>, count: usize) -> Result<Array4<f32>> {
    ensure!(batch.dim().0 > 0, "a batch without images has none to repeat");
    let first = batch.slice(ndarray::s![..1, .., .., ..]);
    Ok(concatenate(Axis(0), &vec![first; count.max(1)])?)
}

/// The mean over a batch, as a batch of one.
///
/// # Errors
///
/// If the batch is empty.
pub fn mean_of(batch: &ArrayRef4<f32>) -> Result<Array4<f32>> {
    let mean = batch.mean_axis(Axis(0)).context("a batch without images has no mean")?;
    Ok(mean.insert_axis(Axis(0)))
}

/// The standard deviation of each pixel over a batch, in quadratic mean over the channels: `[H, W]`. A batch of one has
/// none: zeros.
#[must_use]
pub fn std_map(batch: &ArrayRef4<f32>) -> Array2<f32> {
    let (count, channels, height, width) = batch.dim();
    if count < 2 {
        return Array2::zeros((height, width));
    }
    let variance = batch.var_axis(Axis(0), 1.0);
    (variance.sum_axis(Axis(0)) / channels as f32).mapv(f32::sqrt)
}

/// How far the first images of two batches are apart at each pixel, in quadratic mean over the channels: `[H, W]`.
///
/// # Errors
///
/// If a batch is empty, or the two have images of different shapes.
pub fn difference_map(one: &ArrayRef4<f32>, other: &ArrayRef4<f32>) -> Result<Array2<f32>> {
    ensure!(
        one.dim().0 > 0 && other.dim().0 > 0 && one.shape()[1..] == other.shape()[1..],
        "two images of one shape can be compared, not those of batches {:?} and {:?}",
        one.shape(),
        other.shape()
    );
    let squares = (&one.index_axis(Axis(0), 0) - &other.index_axis(Axis(0), 0)).mapv(|d| d * d);
    Ok((squares.sum_axis(Axis(0)) / squares.dim().0 as f32).mapv(f32::sqrt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_two_images_is_their_distance_over_root_two() -> Result<()> {
        let mut pair = Array4::<f32>::zeros((2, 3, 1, 2));
        pair[[1, 0, 0, 0]] = 3.0;
        // Variance 4.5 in one of three channels.
        let expected = 1.5f32.sqrt();
        assert!((std_map(&pair)[[0, 0]] - expected).abs() < 1e-6);
        assert_eq!(std_map(&pair)[[0, 1]], 0.0);
        assert_eq!(std_map(&mean_of(&pair)?), Array2::<f32>::zeros((1, 2)));
        Ok(())
    }

    #[test]
    fn a_difference_is_taken_over_the_channels() -> Result<()> {
        let zero = Array4::<f32>::zeros((1, 3, 1, 1));
        let one = Array4::<f32>::from_elem((1, 3, 1, 1), 0.5);
        assert!((difference_map(&one, &zero)?[[0, 0]] - 0.5).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn copies_are_of_the_first() -> Result<()> {
        let batch = normal_like(&Array4::zeros((2, 3, 4, 4)), 1);
        let copies = repeat(&batch, 3)?;
        assert_eq!(copies.dim(), (3, 3, 4, 4));
        assert_eq!(copies.index_axis(Axis(0), 2), batch.index_axis(Axis(0), 0));
        assert_ne!(normal_like(&batch, 1), normal_like(&batch, 2));
        Ok(())
    }

    #[test]
    fn an_empty_batch_is_an_error() {
        let (empty, one) = (Array4::zeros((0, 3, 4, 4)), Array4::zeros((1, 3, 4, 4)));
        assert!(repeat(&empty, 2).is_err() && mean_of(&empty).is_err());
        assert!(difference_map(&empty, &one).is_err() && difference_map(&one, &Array4::zeros((1, 3, 4, 5))).is_err());
    }
}
