//! The SDE: its marginals, its discretisation, and the way back.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use checks::{Expected, expect_moments};
use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel, VpSde};
use ndarray::{Array1, Array2, Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};

fn gaussian() -> GaussianModel {
    GaussianModel::new(
        Schedule::linear(),
        [1, 1, 2],
        array![0.4, -0.3],
        array![[0.3, 0.15], [0.15, 0.2]],
    )
    .unwrap()
}

fn mixture() -> GaussianMixtureModel {
    let (means, variances) = (array![[-0.6, 0.2], [0.5, -0.4]], array![0.02, 0.05]);
    GaussianMixtureModel::isotropic(Schedule::linear(), [1, 1, 2], array![0.4, 0.6], means, variances).unwrap()
}

#[test]
fn marginals_are_those_of_the_schedule_at_whole_times() {
    let sde = VpSde::new(Schedule::linear());
    assert_eq!(sde.alpha_bar(0.0), 1.0);
    for t in [1, 2, 30, 500, 1000] {
        assert_relative_eq!(
            sde.alpha_bar(t as f64),
            sde.schedule().alpha_bar(t),
            max_relative = 1e-12
        );
        let between = sde.alpha_bar(t as f64 - 0.5);
        assert!(between > sde.schedule().alpha_bar(t) && between < sde.schedule().alpha_bar(t - 1));
        // beta(t) and beta_t differ by beta_t^2 / 2.
        let beta = sde.schedule().beta(t);
        assert_abs_diff_eq!(sde.beta(t as f64), beta + beta * beta / 2.0, epsilon = beta.powi(3));
        assert_relative_eq!(
            sde.diffusion(t as f64).powi(2),
            sde.beta(t as f64),
            max_relative = 1e-12
        );
    }
}

#[test]
fn one_step_of_the_forward_sde_is_the_ddpm_kernel_to_first_order() {
    let sde = VpSde::new(Schedule::linear());
    let mut rng = StdRng::seed_from_u64(1);
    let (x, eps) = (
        Array4::<f32>::random_using((1, 1, 4, 4), StandardNormal, &mut rng),
        Array4::<f32>::random_using((1, 1, 4, 4), StandardNormal, &mut rng),
    );
    for t in [1, 100, 1000] {
        let beta = sde.schedule().beta(t);
        let euler = sde.forward_step(&x, &eps, t as f64, 1.0);
        let kernel = diffusion::forward_kernel(&x, &eps, beta);
        let error = (&euler - &kernel).iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(f64::from(error) < 4.0 * beta.powf(1.5) + 1e-6, "t = {t}: {error}");
    }
}

#[test]
fn forward_simulation_has_the_exact_marginals() {
    let (sde, model) = (VpSde::new(Schedule::linear()), gaussian());
    let mut rng = StdRng::seed_from_u64(2);
    let (t, n) = (200, 10_000);
    let mut x_t = model.sample(n, &mut rng);
    for time in 1..=t {
        // beta is constant on (time - 1, time], so that both halves of it may be evaluated at its end.
        for _ in 0..2 {
            let eps = Array4::random_using(x_t.dim(), StandardNormal, &mut rng);
            x_t = sde.forward_step(&x_t, &eps, time as f64, 0.5);
        }
    }
    let a = sde.schedule().alpha_bar(t);
    let mean = model.mean() * a.sqrt();
    let covariance = model.covariance() * a + Array2::<f64>::eye(2) * (1.0 - a);
    let expected = Expected {
        mean,
        covariance,
        sigmas: 5.0,
        mean_allowance: 1e-3,
        covariance_allowance: 1e-3,
    };
    expect_moments("forward SDE at t = 200", &x_t, &expected);
}

#[test]
fn finer_steps_approach_the_exact_marginal() {
    // Without noise the forward SDE is x' = -beta x / 2, solved by sqrt(alpha_bar) x_0.
    let sde = VpSde::new(Schedule::linear());
    let zero = Array4::<f32>::zeros((1, 1, 1, 1));
    let error = |substeps: usize| {
        let mut x = Array4::from_elem((1, 1, 1, 1), 1.0f32);
        for t in 901..=1000 {
            for _ in 0..substeps {
                x = sde.forward_step(&x, &zero, f64::from(t), 1.0 / substeps as f64);
            }
        }
        let exact = (sde.alpha_bar(1000.0) / sde.alpha_bar(900.0)).sqrt();
        (f64::from(x[[0, 0, 0, 0]]) - exact).abs()
    };
    let (coarse, fine) = (error(1), error(4));
    assert!(
        fine < coarse / 3.0 && fine > coarse / 5.0,
        "first order: {coarse} and {fine}"
    );
}

fn reverse(model: &dyn ScoreModel, mean: Array1<f64>, covariance: Array2<f64>, name: &str) {
    let sde = VpSde::new(Schedule::linear());
    let mut rng = StdRng::seed_from_u64(3);
    let mut samples = Array4::random_using((4_000, 1, 1, 2), StandardNormal, &mut rng);
    for step in sde.schedule().steps(1000).unwrap() {
        let score = model.score(&samples, step.t).unwrap();
        let z = Array4::random_using(samples.dim(), StandardNormal, &mut rng);
        let dt = (step.t - step.t_prev) as f64;
        samples = sde.reverse_step(&samples, &score, &z, step.t as f64, dt);
    }
    let expected = Expected {
        mean,
        covariance,
        sigmas: 5.0,
        mean_allowance: 2e-3,
        covariance_allowance: 2e-3,
    };
    expect_moments(name, &samples, &expected);
}

#[test]
fn reverse_simulation_recovers_the_gaussian() {
    let model = gaussian();
    reverse(
        &model,
        model.mean().clone(),
        model.covariance(),
        "reverse SDE on a Gaussian",
    );
}

#[test]
fn reverse_simulation_recovers_the_mixture() {
    let model = mixture();
    reverse(&model, model.mean(), model.covariance(), "reverse SDE on a mixture");
}

#[test]
#[should_panic(expected = "lives on the times from 0 to 1000")]
fn there_is_no_time_after_the_end() {
    let _ = VpSde::new(Schedule::linear()).beta(1000.5);
}
