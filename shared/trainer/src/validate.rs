//! How good a network is: the loss on images it has not seen, and the PSNR of one-step denoising.

use diffusion::ScoreModel;
use imaging::PixelSet;
use ndarray::{Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use nn::Backend;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::score::{device_error, to_array, to_tensor};
use score_unet::unet::UNet;

use crate::error::TrainError;
use crate::targets::{noise_batch, tweedie_batch};

/// The times at which the lecture's task 2 denoises. A prior with fewer times is asked at those it has.
pub const DENOISING_TIMES: [usize; 3] = [30, 100, 300];

/// Seed of the noise in every evaluation, so that two networks are compared on the same noisy images.
const SEED: u64 = 2024;
const BATCH: usize = 32;

/// The images `range` of `set` as one array, `[B, 3, H, W]`.
fn images(set: &PixelSet, range: std::ops::Range<usize>) -> Array4<f32> {
    let mut x0 = Array4::zeros((range.len(), 3, set.size, set.size));
    for (mut image, index) in x0.axis_iter_mut(Axis(0)).zip(range) {
        image.assign(&set.array(index));
    }
    x0
}

fn batches(count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..count)
        .step_by(BATCH)
        .map(move |start| start..(start + BATCH).min(count))
}

/// The mean squared error of the predicted noise in each image of `set`, each at one time; the times are spread evenly
/// over `1..=T`, and times and noise are the same at every call.
///
/// # Errors
///
/// What the device reports.
pub fn validation_losses<B: Backend>(network: &UNet<B>, set: &PixelSet) -> Result<Vec<f64>, TrainError> {
    let schedule = network.config().schedule()?;
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut losses = Vec::with_capacity(set.count);
    for range in batches(set.count) {
        let x0 = images(set, range.clone());
        // 389 has no factor in common with any usual number of images, so neighbouring images are at distant times.
        let time = |i: usize| 1 + (i * 389 % set.count) * schedule.num_steps() / set.count;
        let t: Vec<usize> = range.map(time).collect();
        let eps = Array4::random_using(x0.dim(), StandardNormal, &mut rng);
        let x_t = noise_batch(&schedule, &x0, &t, &eps)?;
        let x_t = to_tensor(network.backend(), x_t)?;
        let predicted = network.forward(x_t, &t).map_err(device_error::<B>)?;
        for (predicted, eps) in to_array(&predicted).outer_iter().zip(eps.outer_iter()) {
            let squared = predicted.iter().zip(eps).map(|(p, e)| f64::from(p - e).powi(2));
            losses.push(squared.sum::<f64>() / eps.len() as f64);
        }
    }
    Ok(losses)
}

/// The PSNR in dB (on [0, 1]) of one-step denoising of each image of `set` at time `t`.
///
/// # Errors
///
/// What the device reports; a time outside the model's schedule.
pub fn denoising_psnrs(model: &dyn ScoreModel, set: &PixelSet, t: usize) -> Result<Vec<f64>, TrainError> {
    let mut rng = StdRng::seed_from_u64(SEED + t as u64);
    let mut psnrs = Vec::with_capacity(set.count);
    for range in batches(set.count) {
        let x0 = images(set, range);
        let times = vec![t; x0.dim().0];
        let eps = Array4::random_using(x0.dim(), StandardNormal, &mut rng);
        let x_t = noise_batch(model.schedule(), &x0, &times, &eps)?;
        let x0_hat = tweedie_batch(model.schedule(), &x_t, &times, &model.score(&x_t, t)?)?;
        for (estimate, truth) in x0_hat.outer_iter().zip(x0.outer_iter()) {
            psnrs.push(metrics::psnr(&estimate, &truth)?);
        }
    }
    Ok(psnrs)
}
