//! Task 6 with the trained prior: does DPS restore images?
//!
//! The bands are in `images.json` beside this file: what the reference solution reaches with the settings of these
//! tests and other seeds, and five standard deviations around it. The command that measures and writes them is
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
use task6_dps::{StepSize, dps};
use testing::bands::Bands;

const IMAGES: usize = 4;
const SEEDS: u64 = 2;
const STEPS: usize = 60;

/// Each with a `zeta` of its own, so that the bands are those of the sampler, whatever `tuned` says.
const OPERATORS: [(&str, f64); 2] = [("inpainting", 6.0), ("deconvolution", 9.5)];

fn bands() -> Bands {
    Bands::of_task(env!("CARGO_MANIFEST_DIR"))
}

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
fn restore(operator: &str, zeta: f64, num_steps: usize, seed: u64) -> (f64, f64) {
    let spec: OperatorSpec = operator.parse().expect("an operator of the course");
    let operator = spec.build(prior().image_shape(), seed).expect("it fits the images");
    let truth = images();
    let noise = Noise::Gaussian { sigma: Noise::SIGMA };
    let b = measure(operator.as_ref(), &truth, noise, seed, 1000).expect("the images fit the operator");
    let steps = prior()
        .schedule()
        .steps(num_steps)
        .expect("a number of steps within the schedule");
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
    for (operator, zeta) in OPERATORS {
        let least_psnr = bands().figure(&format!("{operator}, PSNR")).least();
        let most_lpips = bands().figure(&format!("{operator}, LPIPS")).most();
        let runs: Vec<(f64, f64)> = (0..SEEDS).map(|seed| restore(operator, zeta, STEPS, seed)).collect();
        let psnr = runs.iter().map(|run| run.0).sum::<f64>() / SEEDS as f64;
        let lpips = runs.iter().map(|run| run.1).sum::<f64>() / SEEDS as f64;
        assert!(
            psnr >= least_psnr && lpips <= most_lpips,
            "{operator}: PSNR {psnr:.2} dB, LPIPS {lpips:.4} over {IMAGES} images, {SEEDS} seeds and {STEPS} steps; \
             expected at least {least_psnr:.2} dB and at most {most_lpips:.4}. If the formula tests pass, look at \
             the loop \
             (sampler tests)"
        );
    }
}

/// Where the bands come from.
#[test]
#[ignore = "takes minutes"]
fn measure_bands() {
    let mut bands = bands();
    for (operator, zeta) in OPERATORS {
        let runs: Vec<(f64, f64)> = (100..110).map(|seed| restore(operator, zeta, STEPS, seed)).collect();
        let (psnr, lpips): (Vec<f64>, Vec<f64>) = runs.into_iter().unzip();
        bands.measured(&format!("{operator}, PSNR"), &psnr, SEEDS);
        bands.measured(&format!("{operator}, LPIPS"), &lpips, SEEDS);
    }
    bands.save();
}
