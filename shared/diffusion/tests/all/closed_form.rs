//! The closed-form models against finite differences, sampling, and conditioning.

use approx::assert_abs_diff_eq;
use checks::{Check, Expected, expect_moments};
use diffusion::{
    ClosedFormError, CountingModel, GaussianMixtureModel, GaussianModel, Schedule, ScoreError, ScoreModel,
};
use ndarray::{Array1, Array2, Array4, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};

const SHAPE: [usize; 3] = [2, 1, 3];
const TIMES: [usize; 5] = [1, 30, 300, 700, 1000];

fn noise(seed: u64, n: usize) -> Array4<f32> {
    let [c, h, w] = SHAPE;
    Array4::random_using((n, c, h, w), StandardNormal, &mut StdRng::seed_from_u64(seed))
}

fn gaussian() -> GaussianModel {
    let root = Array2::from_shape_fn((6, 6), |(i, j)| 0.4 * ((3 * i + 5 * j) as f64).sin());
    let mean = Array1::from_shape_fn(6, |i| 0.3 * i as f64 - 0.7);
    GaussianModel::new(Schedule::linear(), SHAPE, mean, root.dot(&root.t())).unwrap()
}

fn diagonal() -> GaussianModel {
    let mean = Array1::from_shape_fn(6, |i| 0.5 - 0.2 * i as f64);
    let variances = Array1::from_shape_fn(6, |i| 0.05 * i as f64);
    GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, variances).unwrap()
}

fn mixture() -> GaussianMixtureModel {
    let means = Array2::from_shape_fn((3, 6), |(k, i)| ((7 * k + 3 * i) as f64).cos());
    let variances = Array2::from_shape_fn((3, 6), |(k, i)| 0.02 + 0.03 * ((k + i) % 4) as f64);
    GaussianMixtureModel::new(Schedule::linear(), SHAPE, array![1.0, 2.0, 1.0], means, variances).unwrap()
}

/// What both models can do.
trait ClosedForm: ScoreModel {
    fn log_density(&self, x: &Array4<f32>, t: usize) -> Array1<f64>;
    fn posterior_mean(&self, x: &Array4<f32>, t: usize) -> Array4<f32>;
    fn draw(&self, n: usize, seed: u64) -> Array4<f32>;
    fn moments(&self) -> (Array1<f64>, Array2<f64>);
    fn posterior_covariance(&self, x: &Array4<f32>, t: usize) -> Array2<f64>;
}

impl ClosedForm for GaussianModel {
    fn log_density(&self, x: &Array4<f32>, t: usize) -> Array1<f64> {
        self.log_density(x, t).unwrap()
    }
    fn posterior_mean(&self, x: &Array4<f32>, t: usize) -> Array4<f32> {
        self.posterior_mean(x, t).unwrap()
    }
    fn draw(&self, n: usize, seed: u64) -> Array4<f32> {
        self.sample(n, &mut StdRng::seed_from_u64(seed))
    }
    fn moments(&self) -> (Array1<f64>, Array2<f64>) {
        (self.mean().clone(), self.covariance())
    }
    fn posterior_covariance(&self, _: &Array4<f32>, t: usize) -> Array2<f64> {
        self.posterior_covariance(t)
    }
}

impl ClosedForm for GaussianMixtureModel {
    fn log_density(&self, x: &Array4<f32>, t: usize) -> Array1<f64> {
        self.log_density(x, t).unwrap()
    }
    fn posterior_mean(&self, x: &Array4<f32>, t: usize) -> Array4<f32> {
        self.posterior_mean(x, t).unwrap()
    }
    fn draw(&self, n: usize, seed: u64) -> Array4<f32> {
        self.sample(n, &mut StdRng::seed_from_u64(seed))
    }
    fn moments(&self) -> (Array1<f64>, Array2<f64>) {
        (self.mean(), self.covariance())
    }
    fn posterior_covariance(&self, x: &Array4<f32>, t: usize) -> Array2<f64> {
        self.posterior_covariance(x, 0, t).unwrap()
    }
}

fn models() -> Vec<(&'static str, Box<dyn ClosedForm>)> {
    vec![
        ("gaussian", Box::new(gaussian())),
        ("diagonal", Box::new(diagonal())),
        ("mixture", Box::new(mixture())),
    ]
}

/// Typical noisy images of a model.
fn noisy(model: &dyn ClosedForm, t: usize, n: usize) -> Array4<f32> {
    let x0 = model.draw(n, 7);
    let a = model.schedule().alpha_bar(t);
    x0 * a.sqrt() as f32 + noise(8, n) * (1.0 - a).sqrt() as f32
}

/// Tweedie's formula.
fn tweedie(schedule: &Schedule, x_t: &Array4<f32>, t: usize, score: &Array4<f32>) -> Array4<f32> {
    let a = schedule.alpha_bar(t);
    x_t * (1.0 / a.sqrt()) as f32 + score * ((1.0 - a) / a.sqrt()) as f32
}

/// The derivative along each pixel of `f` at `x`, by central differences; the step that was really taken in f32 is
/// used.
fn differences(x: &Array4<f32>, h: f32, f: impl Fn(&Array4<f32>) -> Array1<f64>) -> Array4<f32> {
    let mut out = Array4::zeros(x.dim());
    let (b, c, height, w) = x.dim();
    for index in ndarray::indices((c, height, w)) {
        let at = |image: usize| [image, index.0, index.1, index.2];
        let (mut up, mut down) = (x.clone(), x.clone());
        for image in 0..b {
            up[at(image)] += h;
            down[at(image)] -= h;
        }
        let (fu, fd) = (f(&up), f(&down));
        for image in 0..b {
            let dx = f64::from(up[at(image)]) - f64::from(down[at(image)]);
            out[at(image)] = ((fu[image] - fd[image]) / dx) as f32;
        }
    }
    out
}

#[test]
fn score_is_the_gradient_of_the_log_density() {
    for (name, model) in models() {
        for t in TIMES {
            let x = noisy(&*model, t, 4);
            // The noise sets the scale on which the density changes.
            let h = 1e-3 * (1.0 - model.schedule().alpha_bar(t)).sqrt() as f32;
            let expected = differences(&x, h, |x| model.log_density(x, t));
            Check::new(format!("score of {name} at t = {t}"), &expected)
                .tolerance(2e-4)
                .verify(&model.score(&x, t).unwrap());
        }
    }
}

#[test]
fn pullback_is_the_gradient_of_the_score_along_a_vector() {
    for (name, model) in models() {
        for t in TIMES {
            let x = noisy(&*model, t, 4);
            let v = noise(9, 4);
            let h = 2e-2 * (1.0 - model.schedule().alpha_bar(t)).sqrt() as f32;
            let along_v = |x: &Array4<f32>| {
                let product = model.score(x, t).unwrap() * &v;
                product
                    .outer_iter()
                    .map(|image| image.iter().map(|p| f64::from(*p)).sum())
                    .collect()
            };
            let expected = differences(&x, h, along_v);
            let (score, pullback) = model.score_with_pullback(&x, t).unwrap();
            assert_eq!(score, model.score(&x, t).unwrap());
            Check::new(format!("pullback of {name} at t = {t}"), &expected)
                .tolerance(2e-3)
                .verify(&pullback(&v).unwrap());
        }
    }
}

#[test]
fn tweedie_is_the_conditional_mean() {
    for (name, model) in models() {
        for t in TIMES {
            let x = noisy(&*model, t, 16);
            let score = model.score(&x, t).unwrap();
            let by_tweedie = tweedie(model.schedule(), &x, t, &score);
            let exact = model.posterior_mean(&x, t);
            // Near t = T, rounding of x_t is magnified by 1 / sqrt(alpha_bar).
            let tolerance = 4e-7 / model.schedule().alpha_bar(t).sqrt() * 4.0;
            Check::new(format!("x0_hat of {name} at t = {t}"), &exact)
                .tolerance(tolerance)
                .verify(&by_tweedie);
        }
    }
}

#[test]
fn posterior_covariance_is_the_slope_of_the_posterior_mean() {
    // Cov[x_0 | x_t] = (1 - alpha_bar) / sqrt(alpha_bar) d E[x_0 | x_t] / d x_t (second-order Tweedie).
    for (name, model) in models() {
        for t in [30, 300, 700] {
            let x = noisy(&*model, t, 1);
            let a = model.schedule().alpha_bar(t);
            let exact = model.posterior_covariance(&x, t);
            for i in 0..6 {
                let h = 2e-2 * (1.0 - a).sqrt() as f32;
                let slope = differences(&x, h, |x| {
                    array![f64::from(model.posterior_mean(x, t).as_slice().unwrap()[i])]
                });
                for (j, s) in slope.iter().enumerate() {
                    let by_slope = f64::from(*s) * (1.0 - a) / a.sqrt();
                    let scale = exact.diag().iter().fold(0.0f64, |m, v| m.max(*v));
                    assert!(
                        (by_slope - exact[[i, j]]).abs() < 3e-3 * scale,
                        "{name}, t = {t}, ({i}, {j})"
                    );
                }
            }
        }
    }
}

#[test]
fn samples_have_the_exact_moments() {
    for (name, model) in models() {
        let (mean, covariance) = model.moments();
        let expected = Expected {
            mean,
            covariance,
            sigmas: 5.0,
            mean_allowance: 1e-6,
            covariance_allowance: 1e-6,
        };
        expect_moments(name, &model.draw(20_000, 3), &expected);
    }
}

#[test]
fn density_integrates_to_one() {
    // In one dimension, by summing over a fine grid.
    let schedule = Schedule::linear;
    let gaussian = GaussianModel::new(schedule(), [1, 1, 1], array![0.3], array![[0.04]]).unwrap();
    let (means, variances) = (array![[-0.5], [0.8]], array![0.01, 0.2]);
    let mixture = GaussianMixtureModel::isotropic(schedule(), [1, 1, 1], array![0.3, 0.7], means, variances).unwrap();
    for t in [1, 100, 1000] {
        let n = 40_001;
        let grid = Array4::from_shape_fn((n, 1, 1, 1), |(i, ..)| (i as f32 - 20_000.0) / 2_000.0);
        for log in [
            gaussian.log_density(&grid, t).unwrap(),
            mixture.log_density(&grid, t).unwrap(),
        ] {
            assert_abs_diff_eq!(log.mapv(f64::exp).sum() / 2_000.0, 1.0, epsilon = 1e-4);
        }
    }
}

#[test]
fn far_out_and_nearly_clean_images_stay_finite() {
    for (name, model) in models() {
        for t in TIMES {
            for size in [1e3f32, -1e6, 1e12] {
                let x = noise(4, 3) * size;
                let (score, pullback) = model.score_with_pullback(&x, t).unwrap();
                let back = pullback(&noise(5, 3)).unwrap();
                assert!(
                    score.iter().chain(&back).all(|v| v.is_finite()),
                    "{name}, t = {t}, size {size}"
                );
                // Far out, the score points back.
                assert!((&score * &x).sum() < 0.0, "{name}, t = {t}, size {size}");
            }
        }
    }
}

#[test]
fn a_mixture_of_one_is_a_gaussian() {
    let (mean, variances) = (diagonal().mean().clone(), array![0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    let gaussian = GaussianModel::diagonal(Schedule::linear(), SHAPE, mean.clone(), variances.clone()).unwrap();
    let full = GaussianModel::new(Schedule::linear(), SHAPE, mean.clone(), Array2::from_diag(&variances)).unwrap();
    let row = |a: &Array1<f64>| a.clone().into_shape_with_order((1, 6)).unwrap();
    let mixture =
        GaussianMixtureModel::new(Schedule::linear(), SHAPE, array![3.0], row(&mean), row(&variances)).unwrap();
    let x = noise(6, 5);
    for t in TIMES {
        let expected = gaussian.score(&x, t).unwrap();
        for other in [&full as &dyn ScoreModel, &mixture] {
            Check::new("score", &expected)
                .tolerance(1e-6)
                .verify(&other.score(&x, t).unwrap());
        }
        let density = gaussian.log_density(&x, t).unwrap();
        for (a, b) in density.iter().zip(mixture.log_density(&x, t).unwrap()) {
            assert_abs_diff_eq!(*a, b, epsilon = 1e-9);
        }
    }
}

#[test]
fn responsibilities_sum_to_one() {
    let model = mixture();
    for t in TIMES {
        let r = model.responsibilities(&noisy(&model, t, 8), t).unwrap();
        for row in r.rows() {
            assert_abs_diff_eq!(row.sum(), 1.0, epsilon = 1e-12);
        }
    }
}

#[test]
fn a_point_mass_is_a_prior_too() {
    let variances = Array1::zeros(6);
    let model = GaussianModel::diagonal(Schedule::linear(), SHAPE, Array1::from_elem(6, 0.25), variances).unwrap();
    let exact = Array4::from_elem((2, 2, 1, 3), 0.25);
    let x = noisy(&model, 500, 2);
    Check::new("posterior mean", &exact).verify(&model.posterior_mean(&x, 500).unwrap());
    assert!(model.score(&x, 1).unwrap().iter().all(|s| s.is_finite()));
}

#[test]
fn misuse_is_an_error() {
    let model = gaussian();
    let (c, h, w) = (2, 3, 1);
    let turned = Array4::zeros((1, c, h, w));
    assert!(matches!(
        model.score(&turned, 5),
        Err(ScoreError::Shape {
            expected: SHAPE,
            got: [1, 2, 3, 1]
        })
    ));
    for t in [0, 1001] {
        assert!(matches!(
            model.score(&noise(1, 1), t),
            Err(ScoreError::Timestep { max: 1000, .. })
        ));
        assert!(matches!(
            mixture().score(&noise(1, 1), t),
            Err(ScoreError::Timestep { max: 1000, .. })
        ));
    }
    let (_, pullback) = model.score_with_pullback(&noise(1, 2), 5).unwrap();
    assert!(matches!(pullback(&noise(1, 3)), Err(ScoreError::Mismatch { .. })));

    let new = |mean, covariance| GaussianModel::new(Schedule::linear(), [1, 1, 2], mean, covariance).unwrap_err();
    assert!(matches!(
        new(array![0.0], Array2::eye(2)),
        ClosedFormError::Size { what: "the mean", .. }
    ));
    assert!(matches!(
        new(array![0.0, f64::NAN], Array2::eye(2)),
        ClosedFormError::NonFinite { .. }
    ));
    assert!(matches!(
        new(array![0.0, 0.0], array![[1.0, 0.5], [0.4, 1.0]]),
        ClosedFormError::NotSymmetric { .. }
    ));
    assert!(matches!(
        new(array![0.0, 0.0], array![[1.0, 2.0], [2.0, 1.0]]),
        ClosedFormError::NegativeVariance { .. }
    ));

    let mix = |weights: Array1<f64>, variances: Array1<f64>| {
        GaussianMixtureModel::isotropic(Schedule::linear(), [1, 1, 1], weights, array![[0.0], [1.0]], variances)
            .unwrap_err()
    };
    assert!(matches!(
        mix(array![1.0, 0.0], array![1.0, 1.0]),
        ClosedFormError::Weight { .. }
    ));
    assert!(matches!(
        mix(array![1.0, 1.0], array![1.0, -1.0]),
        ClosedFormError::NegativeVariance { .. }
    ));
    assert!(matches!(
        mix(array![1.0], array![1.0]),
        ClosedFormError::Size { what: "the means", .. }
    ));
    assert!(matches!(mix(array![], array![]), ClosedFormError::NoComponents));
}

#[test]
fn calls_are_counted() {
    let model = CountingModel::new(gaussian());
    let x = noise(1, 2);
    model.score(&x, 3).unwrap();
    let (_, pullback) = model.score_with_pullback(&x, 3).unwrap();
    assert_eq!((model.forwards(), model.backwards()), (2, 0));
    pullback(&x).unwrap();
    assert_eq!((model.forwards(), model.backwards()), (2, 1));
    assert_eq!(model.inner().image_shape(), SHAPE);
}

#[test]
fn two_hundred_dimensions() {
    let d = 192;
    // A smooth random field: nearby pixels are alike.
    let covariance = Array2::from_shape_fn((d, d), |(i, j)| 0.3 * (-(i.abs_diff(j) as f64) / 10.0).exp());
    let model = GaussianModel::new(Schedule::linear(), [3, 8, 8], Array1::zeros(d), covariance.clone()).unwrap();
    let rebuilt = model.covariance();
    assert!((&rebuilt - &covariance).iter().all(|e| e.abs() < 1e-10));
    let x = Array4::random_using((4, 3, 8, 8), StandardNormal, &mut StdRng::seed_from_u64(1));
    let score = model.score(&x, 200).unwrap();
    let by_tweedie = tweedie(model.schedule(), &x, 200, &score);
    Check::new("x0_hat", &model.posterior_mean(&x, 200).unwrap()).verify(&by_tweedie);
}
