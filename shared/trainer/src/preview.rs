//! A few samples while training, drawn quickly.

use diffusion::{ScoreModel, tweedie_batch};
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Draws `count` images with the deterministic DDIM step (Song et al. 2021, "Denoising diffusion implicit models",
/// equation 12 with sigma = 0) in `steps` steps: rougher than the thousand steps of DDPM, but quick.
///
/// # Errors
///
/// What the device reports; a number of steps that does not fit the schedule.
pub fn preview_samples(model: &dyn ScoreModel, count: usize, steps: usize, seed: u64) -> anyhow::Result<Array4<f32>> {
    let [c, h, w] = model.image_shape();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut x = Array4::random_using((count, c, h, w), StandardNormal, &mut rng);
    for step in model.schedule().steps(steps)? {
        let score = model.score(&x, step.t)?;
        let x0_hat = tweedie_batch(model.schedule(), &x, &vec![step.t; count], &score)?.mapv(|x| x.clamp(-1.0, 1.0));
        let noise = (&x - &(&x0_hat * step.alpha_bar.sqrt() as f32)) / (1.0 - step.alpha_bar).sqrt() as f32;
        x = x0_hat * step.alpha_bar_prev.sqrt() as f32 + noise * (1.0 - step.alpha_bar_prev).sqrt() as f32;
    }
    Ok(x)
}
