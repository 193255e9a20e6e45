//! Denoising with priors whose answer is known exactly: a Gaussian and a mixture of Gaussians.

use checks::{Check, Expected, expect_moments};
use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel};
use ndarray::{Array1, Array2, Array4, Axis, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task2_denoise::{denoise, forward_diffusion};

const TIMES: [usize; 6] = [1, 30, 100, 300, 700, 1000];
const SHAPE: [usize; 3] = [3, 2, 2];

fn noise(seed: u64, n: usize) -> Array4<f32> {
    let [c, h, w] = SHAPE;
    testing::arrays::noise((n, c, h, w), seed)
}

/// What `forward_diffusion` should make, so that denoising is tested by itself.
fn noised(x0: &Array4<f32>, eps: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    x0 * alpha_bar.sqrt() as f32 + eps * (1.0 - alpha_bar).sqrt() as f32
}

/// Neighbouring values are alike, as in an image.
fn gaussian() -> GaussianModel {
    let covariance = Array2::from_shape_fn((12, 12), |(i, j)| 0.25 * (-(i.abs_diff(j) as f64) / 4.0).exp());
    let mean = Array1::from_shape_fn(12, |i| 0.4 * (i as f64).sin());
    GaussianModel::new(Schedule::linear(), SHAPE, mean, covariance).unwrap()
}

/// Three kinds of "image".
fn mixture() -> GaussianMixtureModel {
    let means = Array2::from_shape_fn((3, 12), |(k, i)| 0.8 * ((5 * k + 2 * i) as f64).cos());
    GaussianMixtureModel::isotropic(
        Schedule::linear(),
        SHAPE,
        array![0.5, 0.2, 0.3],
        means,
        array![0.01, 0.05, 0.02],
    )
    .unwrap()
}

fn check_posterior_mean(name: &str, t: usize, got: &Array4<f32>, x_t: &Array4<f32>, exact: &Array4<f32>) {
    let alpha_bar = Schedule::linear().alpha_bar(t);
    Check::new(format!("denoise at t = {t} on a {name} prior"), exact)
        .formula("x0_hat = E[x_0 | x_t], which this prior knows in closed form")
        // x_t is known to about 1e-7, which 1 / sqrt(alpha_bar) magnifies.
        .tolerance(2e-6 / alpha_bar.sqrt())
        .quantity("alpha_bar_t", alpha_bar)
        .quantity("1 - alpha_bar_t", 1.0 - alpha_bar)
        .suspect(
            &(exact * alpha_bar.sqrt() as f32),
            "x0_hat is off by a factor of sqrt(alpha_bar_t): did you divide by sqrt(alpha_bar_t)?",
        )
        .suspect(x_t, "x_t came back unchanged")
        .suspect(
            &(x_t / alpha_bar.sqrt() as f32),
            "x_t is only enlarged, not denoised: where is the score?",
        )
        .verify(got);
}

#[test]
fn denoising_is_the_posterior_mean_of_a_gaussian() {
    let model = gaussian();
    let x0 = model.sample(32, &mut StdRng::seed_from_u64(1));
    for t in TIMES {
        let x_t = noised(&x0, &noise(2, 32), model.schedule().alpha_bar(t));
        let exact = model.posterior_mean(&x_t, t).unwrap();
        check_posterior_mean("Gaussian", t, &denoise(&model, &x_t, t).unwrap(), &x_t, &exact);
    }
}

#[test]
fn denoising_is_the_posterior_mean_of_a_mixture() {
    let model = mixture();
    let x0 = model.sample(32, &mut StdRng::seed_from_u64(3));
    for t in TIMES {
        let x_t = noised(&x0, &noise(4, 32), model.schedule().alpha_bar(t));
        let exact = model.posterior_mean(&x_t, t).unwrap();
        check_posterior_mean("Gaussian-mixture", t, &denoise(&model, &x_t, t).unwrap(), &x_t, &exact);
    }
}

#[test]
fn forward_diffusion_has_the_right_marginal() {
    // If x_0 ~ N(mu, Sigma), then x_t ~ N(sqrt(alpha_bar) mu, alpha_bar Sigma + (1 - alpha_bar) I).
    let model = gaussian();
    let x0 = model.sample(10_000, &mut StdRng::seed_from_u64(5));
    for t in [30, 300, 1000] {
        let a = model.schedule().alpha_bar(t);
        let x_t = forward_diffusion(&x0, &noise(6, 10_000), a);
        let expected = Expected {
            mean: model.mean() * a.sqrt(),
            covariance: model.covariance() * a + Array2::<f64>::eye(12) * (1.0 - a),
            sigmas: 5.0,
            mean_allowance: 1e-5,
            covariance_allowance: 1e-5,
        };
        expect_moments(&format!("forward_diffusion to t = {t}"), &x_t, &expected);
    }
}

#[test]
fn the_error_of_denoising_is_the_posterior_variance() {
    // No estimate has a smaller mean squared error than the posterior mean; its error is the trace of Cov[x_0 | x_t].
    let model = gaussian();
    let n = 10_000;
    let x0 = model.sample(n, &mut StdRng::seed_from_u64(7));
    for t in [30, 300, 700] {
        let x_t = noised(&x0, &noise(8, n), model.schedule().alpha_bar(t));
        let errors = (denoise(&model, &x_t, t).unwrap() - &x0).mapv(|e| f64::from(e * e));
        let per_image = errors.sum_axis(Axis(3)).sum_axis(Axis(2)).sum_axis(Axis(1));
        let (mean, spread) = (per_image.mean().unwrap(), per_image.std(1.0));
        let exact = model.posterior_covariance(t).diag().sum();
        assert!(
            (mean - exact).abs() <= 5.0 * spread / (n as f64).sqrt(),
            "at t = {t} the mean squared error of x0_hat is {mean:.5}; that of the posterior mean, the best there is, \
             would be {exact:.5}. x0_hat is not the posterior mean: see the other tests for the reason"
        );
    }
}

#[test]
fn at_large_t_denoising_forgets_the_image() {
    // Where nothing but noise is left, the best guess is the mean of all images, whatever x_t is: a blur.
    let model = mixture();
    let x0 = model.sample(8, &mut StdRng::seed_from_u64(9));
    let x_t = noised(&x0, &noise(10, 8), model.schedule().alpha_bar(1000));
    let x0_hat = denoise(&model, &x_t, 1000).unwrap();
    let mean = Array4::from_shape_vec((1, 3, 2, 2), model.mean().mapv(|v| v as f32).to_vec()).unwrap();
    let off = (&x0_hat - &mean).iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(
        off < 0.1,
        "at t = 1000 every x0_hat should be close to the mean of the prior, but one differs by {off:.3} from it"
    );
}
