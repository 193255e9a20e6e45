//! Denoising with priors whose answer is known exactly: a Gaussian and a mixture of Gaussians. Nothing of it needs the
//! formula: it is what the formula is for.

use checks::{Exercise, FORMULA, Fault, Guard};
use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel};
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task2_denoise::denoise;
use testing::arrays::noise;

use crate::formulas::FORWARD_DIFFUSION;
use crate::single_step::DENOISE;

pub static OF_KNOWN_PRIORS: Exercise = Exercise::new("2.3 denoise", || {
    let model = gaussian();
    let x0 = model.sample(32, &mut StdRng::seed_from_u64(1));
    check("a Gaussian prior", &model, &x0, |model, x_t, t| {
        model.posterior_mean(x_t, t).expect("images that fit")
    })?;
    let model = mixture();
    let x0 = model.sample(32, &mut StdRng::seed_from_u64(3));
    check("a Gaussian-mixture prior", &model, &x0, |model, x_t, t| {
        model.posterior_mean(x_t, t).expect("images that fit")
    })?;
    error_is_the_posterior_variance()
})
.needs(&[&FORWARD_DIFFUSION, &DENOISE])
.after(&DENOISE);

const TIMES: [usize; 6] = [1, 30, 100, 300, 700, 1000];
const SHAPE: [usize; 3] = [3, 2, 2];

/// Neighbouring values are alike, as in an image.
fn gaussian() -> GaussianModel {
    let covariance = Array2::from_shape_fn((12, 12), |(i, j)| 0.25 * (-(i.abs_diff(j) as f64) / 4.0).exp());
    let mean = Array1::from_shape_fn(12, |i| 0.4 * (i as f64).sin());
    GaussianModel::new(Schedule::linear(), SHAPE, mean, covariance).expect("a covariance")
}

/// Three kinds of "image".
fn mixture() -> GaussianMixtureModel {
    let means = Array2::from_shape_fn((3, 12), |(k, i)| 0.8 * ((5 * k + 2 * i) as f64).cos());
    let (weights, variances) = (array![0.5, 0.2, 0.3], array![0.01, 0.05, 0.02]);
    GaussianMixtureModel::isotropic(Schedule::linear(), SHAPE, weights, means, variances).expect("a mixture")
}

/// `denoise` gives the exact mean of all clean images that could be behind `x_t`.
fn check<M: ScoreModel + Clone + Send + 'static>(
    prior: &str,
    model: &M,
    x0: &Array4<f32>,
    posterior_mean: fn(&M, &Array4<f32>, usize) -> Array4<f32>,
) -> Result<(), Fault> {
    let mut guard = Guard::new("denoise", FORMULA);
    for t in TIMES {
        let alpha_bar = model.schedule().alpha_bar(t);
        let x_t = x0 * alpha_bar.sqrt() as f32 + noise(x0.dim(), 2) * (1.0 - alpha_bar).sqrt() as f32;
        let exact = posterior_mean(model, &x_t, t);
        let fed = format!("{prior}, t = {t}, {} images", x0.dim().0);
        let (asked, images) = (model.clone(), x_t.clone());
        let got = guard.call(&fed, move || {
            denoise(&asked, &images, t).map_err(|error| error.to_string())
        })?;
        let got = got.map_err(|error| Fault::new(format!("denoise returned an error: {error}")).fact(&fed))?;
        let off = (&got - &exact).iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let size = exact.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        // x_t is known to about 1e-7, which 1 / sqrt(alpha_bar) magnifies.
        if off.is_nan() || f64::from(off) > 2e-6 / alpha_bar.sqrt() * f64::from(size) {
            return Err(Fault::new(format!(
                "x0_hat is off the exact mean of all clean images that could be behind x_t by up to {off:.2e}"
            ))
            .fact(format!("fed: {fed}")));
        }
    }
    Ok(())
}

/// No estimate has a smaller mean squared error than the posterior mean.
fn error_is_the_posterior_variance() -> Result<(), Fault> {
    const COUNT: usize = 4000;
    let model = gaussian();
    let x0 = model.sample(COUNT, &mut StdRng::seed_from_u64(7));
    let mut guard = Guard::new("forward_diffusion and denoise", FORMULA);
    for t in [30, 300, 700] {
        let (asked, clean) = (model.clone(), x0.clone());
        let got = guard.call(&format!("t = {t}, {COUNT} images"), move || {
            let eps = noise(clean.dim(), 8);
            let x_t = task2_denoise::forward_diffusion(&clean, &eps, asked.schedule().alpha_bar(t));
            denoise(&asked, &x_t, t).map_err(|error| error.to_string())
        })?;
        let x0_hat = got.map_err(|error| Fault::new(format!("denoise returned an error: {error}")))?;
        let errors = (&x0_hat - &x0).mapv(|e| f64::from(e * e));
        let of_images: Vec<f64> = errors.outer_iter().map(|image| image.sum()).collect();
        let of_images = Array1::from_vec(of_images);
        let (mean, spread) = (of_images.mean().unwrap_or(f64::NAN), of_images.std(1.0));
        let exact = model.posterior_covariance(t).diag().sum();
        let is_close = (mean - exact).abs() <= 5.0 * spread / (COUNT as f64).sqrt();
        if !is_close {
            return Err(Fault::new(format!(
                "at t = {t} the mean squared error of x0_hat is {mean:.5}; that of the posterior mean is {exact:.5}"
            ))
            .fact("forward_diffusion is fed noise, denoise its result, and a Gaussian prior at the same t"));
        }
    }
    Ok(())
}

#[test]
fn exercise_2_3_is_the_posterior_mean_of_priors_that_are_known() {
    OF_KNOWN_PRIORS.tell();
}
