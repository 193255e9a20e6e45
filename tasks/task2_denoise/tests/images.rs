//! Task 2 with the trained prior on the shipped images: is the result as good as it should be?
//!
//! The thresholds come from the reference solution, with other seeds than the test's: mean PSNR over the images and
//! three seeds, minus five standard deviations between such means, rounded down to a tenth. The command that measures
//! them is
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

struct Expected {
    t: usize,
    /// Least mean PSNR in dB.
    threshold: f64,
    /// What the reference solution reaches, and its standard deviation, in dB.
    reference: f64,
    deviation: f64,
}

const EXPECTED: [Expected; 3] = [
    Expected {
        t: 30,
        threshold: 37.1,
        reference: 37.24,
        deviation: 0.021,
    },
    Expected {
        t: 100,
        threshold: 32.0,
        reference: 32.20,
        deviation: 0.028,
    },
    Expected {
        t: 300,
        threshold: 26.2,
        reference: 26.55,
        deviation: 0.056,
    },
];

/// Seeds in one measurement: a result that is good once may be luck.
const SEEDS: u64 = 3;

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
    for Expected {
        t,
        threshold,
        reference,
        deviation,
    } in EXPECTED
    {
        let (noisy, denoised) = measure(&prior, &x0, t, 0..SEEDS);
        assert!(
            denoised > noisy,
            "t = {t}: denoising made the images worse, {noisy:.2} dB before and {denoised:.2} dB after. Run the tests \
             in formulas.rs first: cargo test -p task2_denoise formulas"
        );
        assert!(
            denoised >= threshold,
            "t = {t}: {denoised:.2} dB over 16 images and 3 seeds, expected at least {threshold} (the reference \
             solution reaches {reference}, give or take {deviation}). The noise does go away, so the formula is nearly \
             right: do forward_diffusion and denoise mean the same t, and the same alpha_bar?"
        );
    }
}

#[test]
#[ignore = "measures the numbers behind the thresholds"]
fn measure_thresholds() {
    let (prior, x0) = load();
    for Expected { t, .. } in EXPECTED {
        let runs: Vec<f64> = (0..20)
            .map(|run| measure(&prior, &x0, t, 100 + SEEDS * run..100 + SEEDS * (run + 1)).1)
            .collect();
        let mean = runs.iter().sum::<f64>() / 20.0;
        let deviation = (runs.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 19.0).sqrt();
        let threshold = ((mean - 5.0 * deviation) * 10.0).floor() / 10.0;
        println!("t: {t}, threshold: {threshold:.1}, reference: {mean:.2}, deviation: {deviation:.3}");
    }
}
