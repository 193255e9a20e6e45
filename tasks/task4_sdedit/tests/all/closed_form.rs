//! SDEdit on priors that are known exactly: with a Gaussian prior the result is a Gaussian, too, whose mean is an
//! affine map of the guide. Mean and covariance of the samples are compared with the exact ones, and those with the
//! exact posterior.
//!
//! How far off may samples be? They scatter: five standard errors are allowed. And the sampler takes steps of finite
//! size, which shifts the moments a little; how much is computed below without any sampling.

use checks::{Check, Expected, expect_moments};
use diffusion::{GaussianModel, Schedule, ScoreModel};
use imaging::{Convolution, ForwardOperator, Inpainting};
use ndarray::{Array1, Array2, Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task4_sdedit::{restore, sdedit, steps_from};
use testing::linear::solve;

/// So many copies of one image `[1, C, H, W]`.
fn copies(image: &Array4<f32>, count: usize) -> Array4<f32> {
    let (_, c, h, w) = image.dim();
    image.broadcast((count, c, h, w)).unwrap().to_owned()
}

fn edit(model: &GaussianModel, guide: &Array4<f32>, t0: usize, num_steps: usize, seed: u64) -> Array4<f32> {
    let steps = steps_from(model.schedule(), t0, num_steps).unwrap();
    sdedit(model, guide, None, &steps, &mut StdRng::seed_from_u64(seed), &mut ()).unwrap()
}

fn small_prior() -> GaussianModel {
    let covariance = array![[0.30, 0.12, 0.00], [0.12, 0.20, -0.05], [0.00, -0.05, 0.10]];
    GaussianModel::new(Schedule::linear(), [3, 1, 1], array![0.5, -0.3, 0.1], covariance).unwrap()
}

/// Mean and covariance of SDEdit in the limit of many steps: `x_{t0}` is a Gaussian around the guide, and the reverse
/// process draws from the posterior of `x_0` given `x_{t0}`, whose mean is affine in `x_{t0}`.
fn limit(model: &GaussianModel, guide: &Array4<f32>, t0: usize) -> (Array1<f64>, Array2<f64>) {
    let (abar, d) = (model.schedule().alpha_bar(t0), guide.len());
    let flat = |x: Array4<f32>| x.iter().map(|v| f64::from(*v)).collect::<Array1<f64>>();
    let posterior_mean = |x: &Array4<f32>| flat(model.posterior_mean(x, t0).unwrap());
    let mean = posterior_mean(&(guide * abar.sqrt() as f32));
    let origin = posterior_mean(&Array4::zeros(guide.raw_dim()));
    let mut gain = Array2::zeros((d, d));
    for i in 0..d {
        let mut unit = Array4::zeros(guide.raw_dim());
        unit.as_slice_mut().unwrap()[i] = 1.0;
        gain.column_mut(i).assign(&(posterior_mean(&unit) - &origin));
    }
    (
        mean,
        model.posterior_covariance(t0) + gain.dot(&gain.t()) * (1.0 - abar),
    )
}

#[test]
fn the_results_on_a_gaussian_prior_have_the_exact_moments() {
    let model = small_prior();
    let guide = Array4::from_shape_vec((1, 3, 1, 1), vec![-0.8, 0.9, 0.6]).unwrap();
    for t0 in [150, 500] {
        let (mean, covariance) = limit(&model, &guide, t0);
        let expected = Expected {
            mean,
            covariance,
            sigmas: 5.0,
            mean_allowance: 0.004,
            covariance_allowance: 0.002,
        };
        let samples = edit(&model, &copies(&guide, 3000), t0, 1000, 1);
        expect_moments(
            &format!("SDEdit from t0 = {t0} on a Gaussian prior"),
            &samples,
            &expected,
        );
    }
}

/// Mean and variance of SDEdit in one dimension, on the prior N(mu, v), followed through all steps: each step is an
/// affine map of `x_t` plus noise.
fn follow(t0: usize, num_steps: usize, guide: f64, mu: f64, v: f64) -> (f64, f64) {
    let steps = steps_from(&Schedule::linear(), t0, num_steps).unwrap();
    let abar = steps[0].alpha_bar;
    let (mut mean, mut variance) = (abar.sqrt() * guide, 1.0 - abar);
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
fn with_few_steps_the_moments_are_what_following_them_gives() {
    let (mu, v, guide) = ([0.4, -0.6], [0.3, 0.02], [-0.9, 0.5]);
    let model = GaussianModel::diagonal(
        Schedule::linear(),
        [2, 1, 1],
        Array1::from_iter(mu),
        Array1::from_iter(v),
    )
    .unwrap();
    let image = Array4::from_shape_vec((1, 2, 1, 1), guide.map(|g| g as f32).to_vec()).unwrap();
    for (t0, num_steps) in [(1, 1000), (200, 5), (200, 100), (600, 25), (1000, 10)] {
        let moments: Vec<(f64, f64)> = (0..2).map(|i| follow(t0, num_steps, guide[i], mu[i], v[i])).collect();
        let expected = Expected {
            mean: moments.iter().map(|m| m.0).collect(),
            covariance: Array2::from_diag(&moments.iter().map(|m| m.1).collect::<Array1<f64>>()),
            sigmas: 5.0,
            mean_allowance: 1e-5,
            covariance_allowance: 1e-5,
        };
        let samples = edit(&model, &copies(&image, 10_000), t0, num_steps, 2);
        let what = format!("SDEdit from t0 = {t0} ({num_steps} steps for the whole way) on a Gaussian prior");
        expect_moments(&what, &samples, &expected);
    }
}

#[test]
fn the_allowance_for_finite_steps_is_honest() {
    // What steps of width 1 do to the moments, over the variances that occur above. This is about the tests, not about
    // your code.
    for t0 in [150, 500] {
        let abar = Schedule::linear().alpha_bar(t0);
        for (guide, mu, v) in [(-0.8, 0.5, 0.37), (0.9, -0.3, 0.1), (0.6, 0.1, 0.05)] {
            let (mean, variance) = follow(t0, 1000, guide, mu, v);
            let keep = abar * v / (abar * v + 1.0 - abar);
            let exact = (
                mu + keep * (guide - mu),
                v * (1.0 - keep) + keep * keep * (1.0 - abar) / abar,
            );
            assert!(
                (mean - exact.0).abs() < 0.003 && (variance - exact.1).abs() < 0.0015,
                "from {t0}: {mean} for {}, {variance} for {}",
                exact.0,
                exact.1
            );
        }
    }
}

#[test]
fn from_the_first_time_the_guide_comes_back() {
    let guide = Array4::from_shape_fn((500, 3, 1, 1), |(b, c, _, _)| (0.1 * b as f32 + c as f32).sin());
    let result = edit(&small_prior(), &guide, 1, 1000, 3);
    let furthest = (&result - &guide).iter().fold(0f32, |m, d| m.max(d.abs()));
    // The noise at t = 1 has a standard deviation of 0.01; five times that, for 1500 numbers.
    assert!(
        furthest < 0.05,
        "with t0 = 1 the result is up to {furthest} off the guide, expected less than 0.05: hardly any noise is added \
         at t0 = 1. Is the guide noised to steps[0].alpha_bar?"
    );
}

#[test]
fn from_the_last_time_the_guide_is_forgotten() {
    let model = small_prior();
    let (dark, bright) = (
        Array4::from_elem((4, 3, 1, 1), -1.0),
        Array4::from_elem((4, 3, 1, 1), 1.0),
    );
    let results = [dark, bright].map(|guide| edit(&model, &guide, 1000, 200, 4));
    let furthest = (&results[0] - &results[1]).iter().fold(0f32, |m, d| m.max(d.abs()));
    // sqrt(alpha_bar_T) = 0.0064 is left of a difference of 2, and the posterior keeps about that much of it.
    assert!(
        furthest < 0.02,
        "with t0 = T and one seed, a black and a white guide lead to results that differ by up to {furthest}, expected \
         less than 0.02: at T nothing is left of the guide. Is it multiplied by sqrt(alpha_bar)?"
    );
}

#[test]
fn every_pass_takes_the_same_share_of_the_guide_away() {
    // With t0 fixed each pass maps the distance of the mean from the prior's to `keep` times it: the chain forgets
    // where it began, and settles at the prior.
    let (mu, v, guide, t0) = (-0.2, 0.1, 0.9, 300);
    let model = GaussianModel::diagonal(Schedule::linear(), [1, 1, 1], array![mu], array![v]).unwrap();
    let identity = Inpainting::random([1, 1, 1], 0.0, 0).unwrap();
    let b = Array4::from_elem((10_000, 1, 1, 1), guide as f32);
    let steps = steps_from(model.schedule(), t0, 1000).unwrap();
    let abar = model.schedule().alpha_bar(t0);
    let keep = abar * v / (abar * v + 1.0 - abar);
    let (mut mean, mut variance) = (guide, 0.0);
    for repeats in 1..=2 {
        mean = mu + keep * (mean - mu);
        variance = keep * keep * (variance + (1.0 - abar) / abar) + v * (1.0 - keep);
        let rng = &mut StdRng::seed_from_u64(5);
        let samples = restore(&model, &identity, &b, &steps, repeats, rng, &mut ()).unwrap();
        let expected = Expected {
            mean: array![mean],
            covariance: array![[variance]],
            sigmas: 5.0,
            mean_allowance: 0.004,
            covariance_allowance: 0.002,
        };
        expect_moments(
            &format!("SDEdit, {repeats} passes from t0 = {t0}, on a Gaussian prior"),
            &samples,
            &expected,
        );
    }
}

// What SDEdit is as a solver: the table of the handout. Nothing is sampled here, so that the numbers are exact (in the
// limit of many steps); they are about the method and not about your code.

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const PRIOR_MEAN: f64 = 0.3;
const SIGMA: f64 = 0.05;

/// A smooth prior on 8x8 images: standard deviation 0.5, correlation length 2 pixels.
fn smooth_covariance() -> Array2<f64> {
    Array2::from_shape_fn((PIXELS, PIXELS), |(i, j)| {
        let (dy, dx) = ((i / SIDE).abs_diff(j / SIDE), (i % SIDE).abs_diff(j % SIDE));
        let smooth = (-((dy * dy + dx * dx) as f64) / 8.0).exp();
        0.25 * (0.99 * smooth + if i == j { 0.01 } else { 0.0 })
    })
}

/// `A` as a matrix, and the map from a measurement to the start image.
fn matrices(operator: &dyn ForwardOperator) -> (Array2<f64>, Array2<f64>) {
    let columns = |shape: [usize; 3], map: &dyn Fn(&Array4<f32>) -> Array4<f32>| {
        let [c, h, w] = shape;
        let d = c * h * w;
        let units = Array2::<f32>::eye(d).into_shape_with_order((d, c, h, w)).unwrap();
        let images = map(&units);
        let rows = images.len() / d;
        images.into_shape_with_order((d, rows)).unwrap().t().mapv(f64::from)
    };
    (
        columns(operator.image_shape(), &|x| operator.apply(x).unwrap()),
        columns(operator.measurement_shape(), &|b| operator.start_image(b).unwrap()),
    )
}

/// Averages over images from the prior and over the noise, as roots of mean squares per pixel.
#[derive(Debug)]
struct Quality {
    /// Of a sample from the truth.
    error: f64,
    /// Of the samples' mean from the exact posterior's.
    off_posterior: f64,
    /// The samples' standard deviation.
    spread: f64,
}

/// The exact posterior's (for which `off_posterior` is 0), and SDEdit's for each `t0`.
fn compare(operator: &dyn ForwardOperator, times: &[usize]) -> (Quality, Vec<Quality>) {
    let covariance = smooth_covariance();
    let (a, start) = matrices(operator);
    let mean = Array1::from_elem(PIXELS, PRIOR_MEAN);
    let eye = |n: usize| Array2::<f64>::eye(n);
    let rms = |trace: f64| (trace.max(0.0) / PIXELS as f64).sqrt();
    let trace = |matrix: &Array2<f64>| matrix.diag().sum();
    // E[x0 | b] = mu + wiener (b - A mu), covariance S - wiener A S.
    let of_b = a.dot(&covariance).dot(&a.t()) + eye(a.nrows()) * SIGMA.powi(2);
    let wiener = solve(&of_b, &a.dot(&covariance)).reversed_axes();
    let posterior = &covariance - &wiener.dot(&a).dot(&covariance);
    let exact = Quality {
        error: rms(2.0 * trace(&posterior)),
        off_posterior: 0.0,
        spread: rms(trace(&posterior)),
    };
    let methods = times.iter().map(|&t0| {
        let abar = Schedule::linear().alpha_bar(t0);
        let noised = &covariance * abar + eye(PIXELS) * (1.0 - abar);
        // keep = abar S (abar S + (1 - abar) I)^-1: the share of the guide that SDEdit leaves.
        let keep = solve(&noised, &(&covariance * abar));
        let spread = (eye(PIXELS) - &keep).dot(&covariance) + keep.dot(&keep.t()) * ((1.0 - abar) / abar);
        // The sample is mu + keep (start b - mu) + noise; b = A x + n with x - mu = e.
        let of_b = keep.dot(&start);
        let constant = of_b.dot(&a).dot(&mean) - keep.dot(&mean);
        let squares = |of_e: &Array2<f64>, of_n: &Array2<f64>| {
            trace(&of_e.dot(&covariance).dot(&of_e.t()))
                + SIGMA.powi(2) * trace(&of_n.dot(&of_n.t()))
                + constant.dot(&constant)
        };
        Quality {
            error: rms(squares(&(of_b.dot(&a) - eye(PIXELS)), &of_b) + trace(&spread)),
            off_posterior: rms(squares(&(&of_b - &wiener).dot(&a), &(&of_b - &wiener))),
            spread: rms(trace(&spread)),
        }
    });
    (exact, methods.collect())
}

#[test]
fn the_table_of_the_handout_is_right() {
    let shape = [1, SIDE, SIDE];
    let times = [0, 50, 150, 300, 500, 700, 1000];
    /// What the handout tells of one problem: the exact posterior, and SDEdit from each time.
    type Told = ([f64; 3], [[f64; 3]; 7]);
    let told: [Told; 2] = [
        (
            [0.218, 0.0, 0.154],
            [
                [0.490, 0.465, 0.0],
                [0.460, 0.413, 0.132],
                [0.517, 0.411, 0.273],
                [0.613, 0.427, 0.411],
                [0.688, 0.456, 0.492],
                [0.705, 0.473, 0.500],
                [0.707, 0.476, 0.500],
            ],
        ),
        (
            [0.235, 0.0, 0.166],
            [
                [0.363, 0.323, 0.0],
                [0.387, 0.324, 0.132],
                [0.461, 0.333, 0.273],
                [0.573, 0.362, 0.411],
                [0.674, 0.429, 0.492],
                [0.704, 0.467, 0.500],
                [0.707, 0.472, 0.500],
            ],
        ),
    ];
    let operators: [Box<dyn ForwardOperator>; 2] = [
        Box::new(Inpainting::random(shape, 0.7, 0).unwrap()),
        Box::new(Convolution::gaussian(shape, 7, 1.5).unwrap()),
    ];
    let close = |quality: &Quality, told: [f64; 3]| {
        let got = [quality.error, quality.off_posterior, quality.spread];
        got.iter().zip(told).all(|(a, b)| (a - b).abs() <= 0.000_501)
    };
    for (operator, (told_exact, told)) in operators.iter().zip(&told) {
        // At t0 = 0 it is the start image itself.
        let (exact, methods) = compare(operator.as_ref(), &times);
        println!("{}: {exact:.3?} {methods:.3?}", operator.name());
        assert!(
            close(&exact, *told_exact),
            "{}: {exact:.3?} for {told_exact:?}",
            operator.name()
        );
        for ((t0, quality), told) in times.iter().zip(&methods).zip(told) {
            assert!(
                close(quality, *told),
                "{}, t0 = {t0}: {quality:.3?} for {told:?}",
                operator.name()
            );
        }
    }
}

#[test]
fn the_formulas_behind_the_table_describe_what_restore_does() {
    // The same closed form, for given measurements, against samples.
    let shape = [1, 4, 4];
    let covariance = smooth_covariance();
    let place = |i: usize| i / 4 * SIDE + i % 4;
    let covariance = Array2::from_shape_fn((16, 16), |(i, j)| covariance[[place(i), place(j)]]);
    let model = GaussianModel::new(Schedule::linear(), shape, Array1::from_elem(16, PRIOR_MEAN), covariance).unwrap();
    let operator = Inpainting::random(shape, 0.7, 1).unwrap();
    let truth = model.sample(1, &mut StdRng::seed_from_u64(6));
    let b = operator.apply(&truth).unwrap();
    let steps = steps_from(model.schedule(), 300, 1000).unwrap();
    let rng = &mut StdRng::seed_from_u64(7);
    let samples = restore(&model, &operator, &copies(&b, 3000), &steps, 1, rng, &mut ()).unwrap();
    let guide = operator.start_image(&b).unwrap();
    let (mean, covariance) = limit(&model, &guide, 300);
    let expected = Expected {
        mean,
        covariance,
        sigmas: 5.0,
        mean_allowance: 0.004,
        covariance_allowance: 0.002,
    };
    expect_moments("restore from t0 = 300 on a Gaussian prior", &samples, &expected);
    // One call of each for a batch of one, too.
    let one = restore(&model, &operator, &b, &steps, 1, &mut StdRng::seed_from_u64(8), &mut ()).unwrap();
    Check::new("two runs with one seed", &one)
        .verify(&restore(&model, &operator, &b, &steps, 1, &mut StdRng::seed_from_u64(8), &mut ()).unwrap());
}
