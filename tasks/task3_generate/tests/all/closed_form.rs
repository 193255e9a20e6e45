//! Sampling from priors that are known exactly: mean and covariance of the samples against the exact ones.
//!
//! How far off may they be? The samples scatter: five standard errors are allowed. And the sampler takes steps of
//! finite size, which shifts the moments a little; for the Gaussian that shift is computed below without any sampling,
//! by following the mean and the variance through all the steps.

use checks::{Expected, expect_moments};
use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel, Step};
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task3_generate::{StepForm, sample};
use testing::steps::{VARIANCES, with_variance};

const FORMS: [StepForm; 2] = [StepForm::Direct, StepForm::ThroughX0];

fn steps(num_steps: usize) -> Vec<Step> {
    Schedule::linear().steps(num_steps).unwrap()
}

fn draw(model: &dyn ScoreModel, num_images: usize, steps: &[Step], form: StepForm, seed: u64) -> Array4<f32> {
    let rng = &mut StdRng::seed_from_u64(seed);
    sample(model, num_images, steps, form, rng, &mut ()).expect("neither the model nor the observer failed")
}

#[test]
fn samples_of_a_gaussian() {
    let covariance = array![[0.30, 0.12, 0.00], [0.12, 0.20, -0.05], [0.00, -0.05, 0.10]];
    let mean = array![0.5, -0.3, 0.1];
    let model = GaussianModel::new(Schedule::linear(), [3, 1, 1], mean.clone(), covariance.clone()).unwrap();
    for form in FORMS {
        let expected = Expected {
            mean: mean.clone(),
            covariance: covariance.clone(),
            sigmas: 5.0,
            mean_allowance: 0.004,
            covariance_allowance: 0.001,
        };
        let samples = draw(&model, 3000, &steps(1000), form, 1);
        expect_moments(
            &format!("1000 steps ({form:?}) on a Gaussian prior"),
            &samples,
            &expected,
        );
    }
}

#[test]
fn samples_of_a_mixture() {
    let means = array![[-0.7, 0.3], [0.5, 0.5], [0.2, -0.8]];
    let weights = array![0.5, 0.3, 0.2];
    let variances = array![0.01, 0.03, 0.02];
    let model =
        GaussianMixtureModel::isotropic(Schedule::linear(), [1, 1, 2], weights.clone(), means, variances).unwrap();
    for form in FORMS {
        let samples = draw(&model, 2500, &steps(1000), form, 2);
        let expected = Expected {
            mean: model.mean(),
            covariance: model.covariance(),
            sigmas: 5.0,
            mean_allowance: 0.004,
            covariance_allowance: 0.002,
        };
        expect_moments(
            &format!("1000 steps ({form:?}) on a Gaussian-mixture prior"),
            &samples,
            &expected,
        );
        // Not only the moments: each mode gets its share. At t = 1 the modes are far apart, so that a sample tells its
        // own.
        let shares = model
            .responsibilities(&samples, 1)
            .unwrap()
            .mean_axis(ndarray::Axis(0))
            .unwrap();
        for (k, (share, weight)) in shares.iter().zip(&weights).enumerate() {
            let error = (weight * (1.0 - weight) / 2500.0).sqrt();
            assert!(
                (share - weight).abs() < 5.0 * error + 0.01,
                "mode {k} of the mixture gets {share:.3} of the samples ({form:?}); its weight is {weight:.3}"
            );
        }
    }
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

#[test]
fn few_steps_shift_the_moments_by_what_theory_says() {
    let (mu, v) = (array![0.4, -0.6], array![0.3, 0.02]);
    let model = GaussianModel::diagonal(Schedule::linear(), [2, 1, 1], mu.clone(), v.clone()).unwrap();
    for (num_steps, variance) in [1, 5, 25, 100]
        .into_iter()
        .flat_map(|n| VARIANCES.map(|variance| (n, variance)))
    {
        let steps = with_variance(steps(num_steps), variance);
        let moments: Vec<(f64, f64)> = mu.iter().zip(&v).map(|(m, v)| follow(&steps, *m, *v)).collect();
        let expected = Expected {
            mean: moments.iter().map(|m| m.0).collect::<Array1<f64>>(),
            covariance: Array2::from_diag(&moments.iter().map(|m| m.1).collect::<Array1<f64>>()),
            sigmas: 5.0,
            mean_allowance: 1e-5,
            covariance_allowance: 1e-5,
        };
        for form in FORMS {
            let samples = draw(&model, 10_000, &steps, form, 3);
            expect_moments(
                &format!("{num_steps} steps ({form:?}, {variance:?}) on a Gaussian prior"),
                &samples,
                &expected,
            );
        }
    }
}

#[test]
fn the_allowance_for_finite_steps_is_honest() {
    // What 1000 steps do to the moments without any sampling error, over the variances that occur above. This is about
    // the tests, not about your code.
    for (mu, v) in [(0.5, 0.37), (-0.7, 0.1), (0.8, 0.05), (0.5, 0.01)] {
        let (mean, variance) = follow(&steps(1000), mu, v);
        assert!(
            (mean - mu).abs() < 0.003 && (variance - v).abs() < 0.001,
            "{mu} -> {mean}, {v} -> {variance}"
        );
    }
}
