//! Task 5 with the trained prior: does Score-ALD restore images?
//!
//! The bands are in `images.json` beside this file: what the reference solution reaches with the settings of these tests
//! and other seeds, and five standard deviations around it. The command that measures and writes them is
//!
//! ```text
//! cargo test -p task5_score_ald --test images -- --ignored --nocapture
//! ```

use std::sync::OnceLock;

use cli::{data_folder, find_prior};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::{Noise, OperatorSpec, load_images, measure, stack};
use ndarray::{Array4, Axis};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task5_score_ald::{Guidance, score_ald, tuned_lambda};
use testing::bands::Bands;

const IMAGES: usize = 4;
const SEEDS: u64 = 2;
const STEPS: usize = 120;

const OPERATORS: [&str; 2] = ["inpainting", "deconvolution"];

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
    let views: Vec<_> = images[..IMAGES].iter().map(|image| image.pixels.view()).collect();
    stack(&views).expect("images of one shape")
}

/// The mean PSNR over the images, with mask, noise and sampler from one seed; and that of the start images.
fn restore(operator: &str, seed: u64) -> (f64, f64) {
    let spec: OperatorSpec = operator.parse().expect("an operator of the course");
    let operator = spec.build(prior().image_shape(), seed).expect("it fits the images");
    let truth = images();
    let sigma = Noise::SIGMA;
    // Noise from seeds that the sampler does not use.
    let b = measure(operator.as_ref(), &truth, Noise::Gaussian { sigma }, seed, 1000).expect("the images fit");
    let steps = prior()
        .schedule()
        .steps(STEPS)
        .expect("a number of steps within the schedule");
    let guidance = Guidance {
        sigma,
        lambda: tuned_lambda(STEPS, 1.0),
    };
    let rng = &mut StdRng::seed_from_u64(seed);
    let results = score_ald(prior(), operator.as_ref(), &b, guidance, &steps, rng, &mut FiniteCheck)
        .expect("finite numbers; if not, run cargo test -p task5_score_ald formulas first");
    assert_eq!(
        results.dim(),
        truth.dim(),
        "score_ald should return one image for each measurement"
    );
    let start = operator.start_image(&b).expect("b is of the operator's shape");
    (mean_psnr(&results, &truth), mean_psnr(&start, &truth))
}

fn mean_psnr(images: &Array4<f32>, truth: &Array4<f32>) -> f64 {
    let pairs = images.axis_iter(Axis(0)).zip(truth.axis_iter(Axis(0)));
    let psnr = |(image, truth): (ndarray::ArrayView3<'_, f32>, ndarray::ArrayView3<'_, f32>)| {
        metrics::psnr(&image.to_owned(), &truth.to_owned()).expect("finite images of one shape")
    };
    pairs.map(psnr).sum::<f64>() / truth.dim().0 as f64
}

#[test]
fn reconstructions_are_close_to_the_truth() {
    for operator in OPERATORS {
        let least = bands().figure(&format!("{operator}, PSNR")).least();
        let psnr = (0..SEEDS).map(|seed| restore(operator, seed).0).sum::<f64>() / SEEDS as f64;
        assert!(
            psnr >= least,
            "{operator}: {psnr:.2} dB over {IMAGES} images, {SEEDS} seeds and {STEPS} steps; expected at least \
             {least:.2} dB. If the formula tests pass, look at the loop (sampler tests)"
        );
    }
}

/// Where the bands come from.
#[test]
#[ignore = "takes minutes"]
fn measure_bands() {
    let mut bands = bands();
    for operator in OPERATORS {
        let runs: Vec<(f64, f64)> = (100..110).map(|seed| restore(operator, seed)).collect();
        let (psnr, start): (Vec<f64>, Vec<f64>) = runs.into_iter().unzip();
        println!(
            "{operator}: the start image has {:.2} dB",
            start.iter().sum::<f64>() / start.len() as f64
        );
        bands.measured(&format!("{operator}, PSNR"), &psnr, SEEDS);
    }
    bands.save();
}
