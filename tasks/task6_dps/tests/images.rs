//! Task 6 with the trained prior: does DPS restore images?
//!
//! The thresholds come from the reference solution with the settings of this test and 10 other seeds: the mean over
//! images and seeds less five standard deviations of such a mean. The command that measures them is
//!
//! ```text
//! cargo test -p task6_dps --test images -- --ignored --nocapture
//! ```

use std::sync::OnceLock;

use cli::{Judge, data_folder, find_prior};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::{Noise, OperatorSpec, load_images, measure, stack};
use ndarray::{Array4, Axis};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task6_dps::{StepSize, dps, tuned};

const IMAGES: usize = 4;
const SEEDS: u64 = 2;
const STEPS: usize = 60;

/// Operator and thresholds: PSNR in dB at least, LPIPS (embedded) at most.
const THRESHOLDS: [(&str, f64, f64); 2] = [("inpainting", 30.1, 0.049), ("deconvolution", 29.8, 0.079)];

fn prior() -> &'static Prior {
    static PRIOR: OnceLock<Prior> = OnceLock::new();
    PRIOR.get_or_init(|| {
        let folder = find_prior("fruits64", data_folder()).expect("the repository has a prior");
        Prior::load(&folder).expect("the prior is readable")
    })
}

/// The first of the shipped images.
fn images() -> Array4<f32> {
    let folder = data_folder().expect("the repository has a data folder").join("images");
    let images = load_images(&[folder], 64).expect("the shipped images are readable");
    stack(
        &images[..IMAGES]
            .iter()
            .map(|image| image.pixels.view())
            .collect::<Vec<_>>(),
    )
    .expect("images of one shape")
}

/// Mean PSNR in dB and mean LPIPS over the images, of measurement and sampler from one seed.
fn restore(operator: &str, num_steps: usize, seed: u64) -> (f64, f64) {
    let spec: OperatorSpec = operator.parse().expect("an operator of the course");
    let operator = spec.build(prior().image_shape(), seed).expect("it fits the images");
    let truth = images();
    let noise = Noise::Gaussian { sigma: Noise::SIGMA };
    let b = measure(operator.as_ref(), &truth, noise, seed, 1000).expect("the images fit the operator");
    let steps = prior()
        .schedule()
        .steps(num_steps)
        .expect("a number of steps within the schedule");
    let zeta = tuned(spec.kind(), num_steps);
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut solve = || {
        dps(
            prior(),
            operator.as_ref(),
            &b,
            StepSize::Normalised(zeta),
            &steps,
            rng,
            &mut FiniteCheck,
        )
    };
    let results = solve().expect("nothing failed");
    assert_eq!(
        results.dim(),
        truth.dim(),
        "dps should return one image for each measurement"
    );
    let judge = Judge::new().expect("the metrics are there");
    let mut sums = (0.0, 0.0);
    for (result, truth) in results.axis_iter(Axis(0)).zip(truth.axis_iter(Axis(0))) {
        let scores = judge.scores(&result, &truth).expect("finite images of one shape");
        sums = (sums.0 + scores.psnr, sums.1 + scores.lpips);
    }
    (sums.0 / IMAGES as f64, sums.1 / IMAGES as f64)
}

#[test]
fn reconstructions_are_close_to_the_truth() {
    for (operator, least_psnr, most_lpips) in THRESHOLDS {
        let runs: Vec<(f64, f64)> = (0..SEEDS).map(|seed| restore(operator, STEPS, seed)).collect();
        let psnr = runs.iter().map(|run| run.0).sum::<f64>() / SEEDS as f64;
        let lpips = runs.iter().map(|run| run.1).sum::<f64>() / SEEDS as f64;
        assert!(
            psnr >= least_psnr && lpips <= most_lpips,
            "{operator}: PSNR {psnr:.2} dB, LPIPS {lpips:.4} over {IMAGES} images, {SEEDS} seeds and {STEPS} steps; \
             expected at least {least_psnr} dB and at most {most_lpips}. If the formula tests pass, look at the loop \
             (sampler tests)"
        );
    }
}

/// Where the thresholds come from.
#[test]
#[ignore = "takes minutes"]
fn measure_thresholds() {
    for (operator, ..) in THRESHOLDS {
        let runs: Vec<(f64, f64)> = (100..110).map(|seed| restore(operator, STEPS, seed)).collect();
        let summary = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
            (mean, (variance / SEEDS as f64).sqrt())
        };
        let (psnr, psnr_std) = summary(runs.iter().map(|run| run.0).collect());
        let (lpips, lpips_std) = summary(runs.iter().map(|run| run.1).collect());
        println!(
            "{operator}: PSNR {psnr:.3} dB, standard deviation of a mean over {SEEDS} seeds {psnr_std:.3}, threshold \
             {:.2}; LPIPS {lpips:.4}, {lpips_std:.4}, threshold {:.4}",
            psnr - 5.0 * psnr_std,
            lpips + 5.0 * lpips_std
        );
    }
}
