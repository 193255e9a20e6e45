//! Sampling from priors that are known exactly: mean and covariance of the samples against the exact ones.
//!
//! How far off may they be? The samples scatter: five standard errors are allowed. And the sampler takes steps of
//! finite size, which shifts the moments a little; for the Gaussian that shift is computed below without any sampling,
//! by following the mean and the variance through all the steps.

use checks::{Exercise, Expected, Fault, check_moments};
use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel, Step, StepVariance};
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task3_generate::{StepForm, sample};

use crate::sampler::{LOOP, LOOP_THROUGH_X0};

pub static DISTRIBUTION: Exercise = Exercise::new("3.3 sample", distribution)
    .needs(&[&LOOP, &LOOP_THROUGH_X0])
    .after(&LOOP_THROUGH_X0);

fn distribution() -> Result<(), Fault> {
    few_steps_shift_the_moments_by_what_theory_says()?;
    samples_of_a_mixture()
}

#[test]
fn exercise_3_3_the_samples_are_distributed_as_theory_says() {
    DISTRIBUTION.tell();
}

fn steps(num_steps: usize, variance: StepVariance) -> Vec<Step> {
    let steps = Schedule::linear().steps(num_steps).expect("within the schedule");
    steps.into_iter().map(|step| step.with_variance(variance)).collect()
}

fn draw(model: &dyn ScoreModel, num_images: usize, steps: &[Step], seed: u64) -> Result<Array4<f32>, Fault> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let samples = sample(model, num_images, steps, StepForm::Direct, rng, &mut ());
    samples.map_err(|error| Fault::new(format!("sample returned an error, though nothing had failed: {error}")))
}

fn samples_of_a_mixture() -> Result<(), Fault> {
    let means = array![[-0.7, 0.3], [0.5, 0.5], [0.2, -0.8]];
    let weights = array![0.5, 0.3, 0.2];
    let variances = array![0.01, 0.03, 0.02];
    let model =
        GaussianMixtureModel::isotropic(Schedule::linear(), [1, 1, 2], weights.clone(), means, variances).unwrap();
    let count = 1000;
    let samples = draw(&model, count, &steps(1000, StepVariance::Beta), 2)?;
    let expected = Expected {
        mean: model.mean(),
        covariance: model.covariance(),
        sigmas: 5.0,
        mean_allowance: 0.004,
        covariance_allowance: 0.002,
    };
    check_moments("1000 steps on a Gaussian-mixture prior", &samples, &expected).map_err(Fault::new)?;
    // Not only the moments: each mode gets its share. At t = 1 the modes are far apart, so that a sample tells its own.
    let shares = model
        .responsibilities(&samples, 1)
        .expect("images of the model's shape");
    let shares = shares.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    for (k, (share, weight)) in shares.iter().zip(&weights).enumerate() {
        let error = (weight * (1.0 - weight) / count as f64).sqrt();
        if (share - weight).abs() > 5.0 * error + 0.01 {
            return Err(Fault::new(format!(
                "mode {k} of the mixture gets {share:.3} of the samples; its weight is {weight:.3}"
            )));
        }
    }
    Ok(())
}

/// Mean and variance of the DDPM sampler in one dimension, on the prior N(mu, v), followed through all steps: each step
/// is an affine map of `x_t` plus noise.
fn follow(steps: &[Step], mu: f64, v: f64) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, 1.0);
    for step in steps {
        // The score is (sqrt(alpha_bar) mu - x) / (alpha_bar v + 1 - alpha_bar).
        let slope = step.beta() / (step.alpha_bar * v + 1.0 - step.alpha_bar);
        let (gain, shift) = (
            (1.0 - slope) / step.alpha.sqrt(),
            slope * step.alpha_bar.sqrt() * mu / step.alpha.sqrt(),
        );
        mean = gain * mean + shift;
        variance = gain * gain * variance + step.sigma.powi(2);
    }
    (mean, variance)
}

fn few_steps_shift_the_moments_by_what_theory_says() -> Result<(), Fault> {
    let (mu, v) = (array![0.4, -0.6], array![0.3, 0.02]);
    let model = GaussianModel::diagonal(Schedule::linear(), [2, 1, 1], mu.clone(), v.clone()).unwrap();
    for (num_steps, variance) in [(5, StepVariance::Posterior), (25, StepVariance::Beta)] {
        let steps = steps(num_steps, variance);
        let moments: Vec<(f64, f64)> = mu.iter().zip(&v).map(|(m, v)| follow(&steps, *m, *v)).collect();
        let expected = Expected {
            mean: moments.iter().map(|m| m.0).collect::<Array1<f64>>(),
            covariance: Array2::from_diag(&moments.iter().map(|m| m.1).collect::<Array1<f64>>()),
            sigmas: 5.0,
            mean_allowance: 1e-5,
            covariance_allowance: 1e-5,
        };
        let what = format!("{num_steps} steps ({variance:?}) on a Gaussian prior");
        check_moments(&what, &draw(&model, 6000, &steps, 3)?, &expected).map_err(Fault::new)?;
    }
    Ok(())
}

#[test]
fn the_allowance_for_finite_steps_is_honest() {
    // What 1000 steps do to the moments without any sampling error, over the variances that occur above. This is about
    // the tests, not about your code.
    for (mu, v) in [(0.5, 0.37), (-0.7, 0.1), (0.8, 0.05), (0.5, 0.01)] {
        let (mean, variance) = follow(&steps(1000, StepVariance::Beta), mu, v);
        assert!(
            (mean - mu).abs() < 0.003 && (variance - v).abs() < 0.001,
            "{mu} -> {mean}, {v} -> {variance}"
        );
    }
}
