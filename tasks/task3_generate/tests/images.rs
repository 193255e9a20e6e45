//! Task 3 with the trained prior: do the samples look like what the prior was trained on?
//!
//! No sample has a right answer, but fruit photographed on white have three plain statistics that wrong samplers miss:
//! corners are white, neighbouring pixels are alike, and two samples differ. The bands come from the reference solution
//! with the settings of this test and 20 seeds, mean plus or minus five standard deviations between seeds; the measured
//! numbers stand beside them.

use std::sync::OnceLock;

use cli::{data_folder, find_prior};
use diffusion::ScoreModel;
use ndarray::{Array4, ArrayView3, Axis, s};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task3_generate::{StepForm, sample};

const IMAGES: usize = 8;
const STEPS: usize = 60;

fn prior() -> &'static Prior {
    static PRIOR: OnceLock<Prior> = OnceLock::new();
    PRIOR.get_or_init(|| {
        let folder = find_prior("fruits64", data_folder()).expect("the repository has a prior");
        Prior::load(&folder).expect("the prior is readable")
    })
}

fn draw(form: StepForm, seed: u64) -> Array4<f32> {
    let steps = prior()
        .schedule()
        .steps(STEPS)
        .expect("a number of steps within the schedule");
    sample(prior(), IMAGES, &steps, form, &mut StdRng::seed_from_u64(seed), &mut ()).expect("the prior gives scores")
}

/// Mean of the four 6x6 corners: 1 is white.
fn corners(image: ArrayView3<f32>) -> f64 {
    let mean = |y: isize, x: isize| {
        let rows = if y > 0 { s![.., -6.., ..] } else { s![.., ..6, ..] };
        let part = image.slice(rows);
        let columns = if x > 0 { s![.., .., -6..] } else { s![.., .., ..6] };
        f64::from(part.slice(columns).mean().unwrap_or(0.0))
    };
    (mean(0, 0) + mean(0, 1) + mean(1, 0) + mean(1, 1)) / 4.0
}

/// Mean absolute difference of horizontal neighbours: smooth images are near 0, noise of standard deviation 1 near 1.1.
fn roughness(image: ArrayView3<f32>) -> f64 {
    let difference = &image.slice(s![.., .., 1..]) - &image.slice(s![.., .., ..-1]);
    difference.iter().map(|d| f64::from(d.abs())).sum::<f64>() / difference.len() as f64
}

/// Standard deviation between the samples, mean over pixels.
fn variety(samples: &Array4<f32>) -> f64 {
    f64::from(samples.std_axis(Axis(0), 1.0).mean().unwrap_or(0.0))
}

fn mean(samples: &Array4<f32>, statistic: fn(ArrayView3<f32>) -> f64) -> f64 {
    samples.outer_iter().map(statistic).sum::<f64>() / samples.dim().0 as f64
}

#[test]
fn samples_look_like_the_training_images() {
    let samples = draw(StepForm::Direct, 1);
    assert!(
        samples.iter().all(|x| x.is_finite()),
        "the samples hold NaN or infinity: run cargo test -p task3_generate --test formulas first"
    );
    let (corners, roughness, variety) = (mean(&samples, corners), mean(&samples, roughness), variety(&samples));
    println!("corners {corners:.3}, roughness {roughness:.3}, variety {variety:.3}");
    // CALIBRATE
    assert!(
        roughness < 9.0,
        "neighbouring pixels differ by {roughness:.3} on average, expected at most 9.0: there is noise in the \
         samples. Is z zero at the last step, and is the score multiplied by 1 - alpha_t?"
    );
    assert!(
        roughness > 0.0,
        "neighbouring pixels differ by only {roughness:.3}, expected at least 0.0: the samples are too smooth. Is z \
         added in every step but the last, scaled by sqrt(1 - alpha_t)?"
    );
    assert!(
        corners > -1.0,
        "the corners have a mean of {corners:.3}, expected more than 0.0 (the photographs have a white background, 1.0): \
         the samples are too dark or too pale. Do you divide by sqrt(alpha_t)?"
    );
    assert!(
        variety > 0.0,
        "the samples differ by a standard deviation of only {variety:.3}, expected at least 0.0: are x_T and z drawn for \
         every image by itself?"
    );
}

#[test]
fn both_forms_draw_the_same_images() {
    let (direct, through_x0) = (draw(StepForm::Direct, 2), draw(StepForm::ThroughX0, 2));
    let difference = (&direct - &through_x0).iter().fold(0f32, |m, d| m.max(d.abs()));
    // One step rounds differently by about 1e-6; the network carries such differences through 60 steps.
    assert!(
        difference < 0.02,
        "with one seed the two forms differ by up to {difference}, expected less than 0.02: they are the same map, and \
         must draw the same random numbers in the same order"
    );
}
