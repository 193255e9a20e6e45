//! Training batches: images, times and noise.

use diffusion::{Schedule, ScoreError};
use imaging::PixelSet;
use ndarray::{Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::augment::Changes;
use crate::targets::noise_batch;

/// One batch for the noise-prediction loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingBatch {
    /// Noisy images, `[B, C, H, W]`.
    pub x_t: Array4<f32>,
    /// The time of each image, in `1..=T`.
    pub t: Vec<usize>,
    /// The noise in each image, `[B, C, H, W]`, standard normal.
    pub eps: Array4<f32>,
}

/// Draws the batch of step number `step`. It depends on `seed` and `step` alone, so a resumed training sees the batches
/// that an uninterrupted one would have seen.
///
/// The times are stratified: one in each of `size` equal parts of `1..=T`, in random order. Every batch then covers all
/// noise levels, which makes the loss less noisy than independent times do.
///
/// # Errors
///
/// If the images do not fit the schedule's arrays; not with a [`PixelSet`] that was read from a folder.
pub fn draw_batch(
    images: &PixelSet,
    schedule: &Schedule,
    size: usize,
    changes: Changes,
    seed: u64,
    step: u64,
) -> Result<TrainingBatch, ScoreError> {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ step);
    let mut x0 = Array4::zeros((size, 3, images.size, images.size));
    for mut image in x0.axis_iter_mut(Axis(0)) {
        let pixels = images.array(rng.random_range(0..images.count));
        image.assign(&changes.apply(pixels, &mut rng));
    }
    let t = stratified_times(size, schedule.num_steps(), &mut rng);
    let eps = Array4::random_using(x0.dim(), StandardNormal, &mut rng);
    let x_t = noise_batch(schedule, &x0, &t, &eps)?;
    Ok(TrainingBatch { x_t, t, eps })
}

/// `count` times in `1..=max`, one uniform in each of `count` equal parts, shuffled.
fn stratified_times(count: usize, max: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut times: Vec<usize> = (0..count)
        .map(|i| {
            let u = (i as f64 + rng.random::<f64>()) / count as f64;
            1 + ((u * max as f64) as usize).min(max - 1)
        })
        .collect();
    times.shuffle(rng);
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_covers_all_noise_levels() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut times = stratified_times(10, 1000, &mut rng);
        times.sort_unstable();
        for (i, t) in times.iter().enumerate() {
            assert!((100 * i + 1..=100 * (i + 1)).contains(t), "time {t} is not in part {i}");
        }
    }

    #[test]
    fn times_are_uniform() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut counts = [0; 11];
        for _ in 0..2000 {
            stratified_times(7, 10, &mut rng)
                .into_iter()
                .for_each(|t| counts[t] += 1);
        }
        assert_eq!(counts[0], 0, "t = 0 has no noise to predict");
        // 14,000 draws, 1400 expected for each, standard deviation below 36.
        assert!(
            counts[1..].iter().all(|n| (1200..1600).contains(n)),
            "times are not uniform: {counts:?}"
        );
    }
}
