//! Task 2 with the trained prior on the shipped images: is the result as good as it should be?
//!
//! The bands are in `images.json` beside this file: what the reference solution reaches with the settings of these tests
//! and other seeds, and five standard deviations around it. The command that measures and writes them is
//!
//! ```text
//! cargo test -p task2_denoise --test images -- --ignored --nocapture
//! ```

use cli::{data_folder, find_prior};
use diffusion::ScoreModel;
use metrics::psnr;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task2_denoise::{denoise, forward_diffusion};
use testing::bands::{Bands, Figure};

const TIMES: [usize; 3] = [30, 100, 300];
/// Seeds in one measurement: a result that is good once may be luck.
const SEEDS: u64 = 3;

fn name(t: usize) -> String {
    format!("t = {t}, PSNR")
}

fn load() -> (Prior, Array4<f32>) {
    let folder = find_prior("fruits64", data_folder()).expect("the repository has a prior");
    let prior = Prior::load(&folder).expect("the prior is readable");
    let data = data_folder().expect("the repository has a data folder");
    let images = imaging::load_images(&[data.join("images")], prior.image_shape()[1]).expect("shipped images");
    let views: Vec<_> = images.iter().map(|image| image.pixels.view()).collect();
    let batch = imaging::stack(&views).expect("images of one size");
    (prior, batch)
}

/// Mean PSNR over the images of a batch.
fn mean_psnr(estimates: &Array4<f32>, truth: &Array4<f32>) -> f64 {
    let pairs = estimates.outer_iter().zip(truth.outer_iter());
    let sum: f64 = pairs
        .map(|(estimate, truth)| psnr(&estimate, &truth).expect("finite images of one size: is there a NaN in x0_hat?"))
        .sum();
    sum / truth.dim().0 as f64
}

/// Mean PSNR over images and seeds, before and after denoising at time `t`.
fn measure(prior: &Prior, x0: &Array4<f32>, t: usize, seeds: std::ops::Range<u64>) -> (f64, f64) {
    let count = (seeds.end - seeds.start) as f64;
    let (mut noisy, mut denoised) = (0.0, 0.0);
    for seed in seeds {
        let alpha_bar = prior.schedule().alpha_bar(t);
        let eps = Array4::random_using(x0.dim(), StandardNormal, &mut StdRng::seed_from_u64(seed));
        let x_t = forward_diffusion(x0, &eps, alpha_bar);
        let x0_hat = denoise(prior, &x_t, t).expect("the prior denoises images of its own size");
        noisy += mean_psnr(&(&x_t / alpha_bar.sqrt() as f32), x0) / count;
        denoised += mean_psnr(&x0_hat, x0) / count;
    }
    (noisy, denoised)
}

#[test]
fn one_step_denoising_is_as_good_as_the_reference() {
    let (prior, x0) = load();
    let bands = Bands::of_task(env!("CARGO_MANIFEST_DIR"));
    for t in TIMES {
        let figure = bands.figure(&name(t));
        let (threshold, Figure { mean, deviation }) = (figure.least(), figure);
        let (noisy, denoised) = measure(&prior, &x0, t, 0..SEEDS);
        assert!(
            denoised > noisy,
            "t = {t}: denoising made the images worse, {noisy:.2} dB before and {denoised:.2} dB after. Run the tests \
             in formulas.rs first: cargo test -p task2_denoise formulas"
        );
        assert!(
            denoised >= threshold,
            "t = {t}: {denoised:.2} dB over 16 images and 3 seeds, expected at least {threshold:.2} (the \
             reference solution reaches {mean:.2}, give or take {deviation:.3}). The noise does go away, so the formula is nearly \
             right: do forward_diffusion and denoise mean the same t, and the same alpha_bar?"
        );
    }
}

/// Where the bands come from.
#[test]
#[ignore = "takes minutes"]
fn measure_bands() {
    let (prior, x0) = load();
    let mut bands = Bands::of_task(env!("CARGO_MANIFEST_DIR"));
    for t in TIMES {
        let seeds = |run: u64| 100 + SEEDS * run..100 + SEEDS * (run + 1);
        let runs: Vec<f64> = (0..20).map(|run| measure(&prior, &x0, t, seeds(run)).1).collect();
        bands.measured(&name(t), &runs, 1);
    }
    bands.save();
}
