//! What a network can do so far, to look at while it trains.

use diffusion::ScoreModel;
use imaging::{PixelSet, grid, stack};
use ndarray::{Array3, Array4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::error::TrainError;
use crate::targets::{noise_batch, tweedie_batch};

/// Seed of the noise, so that previews of two networks show the same noisy images.
const SEED: u64 = 2024;
const COLUMNS: usize = 8;
/// Noise levels, in tenths of T: from noise that hides the texture to noise that hides nearly all.
const TENTHS: [usize; 4] = [1, 3, 6, 9];
/// White pixels between two images.
const GAP: usize = 2;

/// A picture `[3, height, width]` of one-step denoising: each column is one of up to 8 images of `set`, evenly spread
/// over it, and each noise level has a row of noisy images above the row of what the network makes of them.
///
/// An early network returns grey blurs. Later the upper rows look like the images themselves, and the lowest like the
/// mean of what may be behind the noise: smooth, but of the right kind. It costs one call of the network for each
/// level.
///
/// # Errors
///
/// A set without images; what the device reports.
pub fn denoising_preview(model: &dyn ScoreModel, set: &PixelSet) -> Result<Array3<f32>, TrainError> {
    let columns = COLUMNS.min(set.count);
    let images: Vec<_> = (0..columns)
        .map(|column| set.array(column * set.count / columns))
        .collect();
    let x0 = stack(&images.iter().map(|image| image.view()).collect::<Vec<_>>())?;
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut rows = Vec::new();
    for tenths in TENTHS {
        let t = (model.schedule().num_steps() * tenths / 10).max(1);
        let eps = Array4::random_using(x0.dim(), StandardNormal, &mut rng);
        rows.extend(noisy_and_denoised(model, &x0, &eps, t)?);
    }
    let views: Vec<_> = rows.iter().flat_map(|row| row.outer_iter()).collect();
    Ok(grid(&views, columns, GAP)?)
}

fn noisy_and_denoised(
    model: &dyn ScoreModel,
    x0: &Array4<f32>,
    eps: &Array4<f32>,
    t: usize,
) -> Result<[Array4<f32>; 2], TrainError> {
    let times = vec![t; x0.dim().0];
    let x_t = noise_batch(model.schedule(), x0, &times, eps)?;
    let x0_hat = tweedie_batch(model.schedule(), &x_t, &times, &model.score(&x_t, t)?)?;
    Ok([x_t, x0_hat])
}
