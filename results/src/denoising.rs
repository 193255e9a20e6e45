//! The columns of the denoising table.

use anyhow::Result;
use diffusion::ScoreModel;
use imaging::best_gaussian_blur;
use methods::stepping::Cost;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;

/// A way to remove noise in one go.
pub struct Denoiser {
    /// For the command line.
    pub name: &'static str,
    /// For the tables.
    pub title: &'static str,
    /// Network calls.
    calls: usize,
    remove: fn(&Prior, &Noisy<'_>) -> Result<Array4<f32>>,
}

/// What a denoiser is given.
struct Noisy<'a> {
    x_t: Array4<f32>,
    /// The same, enlarged to the scale of the truth.
    unshrunk: Array4<f32>,
    t: usize,
    truth: &'a Array4<f32>,
}

pub static DENOISERS: [Denoiser; 3] = [
    Denoiser {
        name: "noisy",
        title: "noisy",
        calls: 0,
        remove: |_, noisy| Ok(noisy.unshrunk.clone()),
    },
    Denoiser {
        name: "blur",
        title: "best Gaussian blur",
        calls: 0,
        remove: |_, noisy| best_blur(noisy),
    },
    Denoiser {
        name: "denoise",
        title: "task 2, one step",
        calls: 1,
        remove: |prior, noisy| Ok(task2_denoise::denoise(prior, &noisy.x_t, noisy.t)?),
    },
];

impl Denoiser {
    pub fn cost(&self) -> Cost {
        Cost {
            evaluations: self.calls,
            pullbacks: 0,
        }
    }

    /// The truth, `[B, C, H, W]`, with the noise of time `t` put on and taken off again.
    pub fn run(&self, prior: &Prior, truth: &Array4<f32>, t: usize, seed: u64) -> Result<Array4<f32>> {
        let alpha_bar = prior.schedule().alpha_bar(t);
        let eps = Array4::random_using(truth.dim(), StandardNormal, &mut StdRng::seed_from_u64(seed));
        let x_t = task2_denoise::forward_diffusion(truth, &eps, alpha_bar);
        let unshrunk = &x_t / alpha_bar.sqrt() as f32;
        let noisy = Noisy {
            x_t,
            unshrunk,
            t,
            truth,
        };
        (self.remove)(prior, &noisy)
    }
}

/// It may look at the truth.
fn best_blur(noisy: &Noisy<'_>) -> Result<Array4<f32>> {
    let mut blurred = noisy.unshrunk.clone();
    for (mut image, truth) in blurred.outer_iter_mut().zip(noisy.truth.outer_iter()) {
        let best = best_gaussian_blur(&image, &truth)?.1;
        image.assign(&best);
    }
    Ok(blurred)
}
