//! SDEdit on priors that are known exactly: with a Gaussian prior the result is a Gaussian, too, whose mean is an
//! affine map of the guide. Mean and covariance of the samples are compared with the exact ones, and those with the
//! exact posterior.
//!
//! How far off may samples be? They scatter: five standard errors are allowed. And the sampler takes steps of finite
//! size, which shifts the moments a little; how much is computed below without any sampling.

use checks::{Exercise, Expected, Fault, Guard, SAMPLER, check_moments};
use diffusion::{GaussianModel, Schedule, ScoreModel};
use imaging::{Convolution, ForwardOperator, Inpainting};
use ndarray::{Array1, Array2, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task4_sdedit::{restore, steps_from};
use testing::linear::solve;

use crate::sampler::LOOP;
use crate::sampler_mask::MASKED_LOOP;
use crate::solver::RESTORE;

/// So many copies of one image `[1, C, H, W]`.
fn copies(image: &Array4<f32>, count: usize) -> Array4<f32> {
    let (_, c, h, w) = image.dim();
    image.broadcast((count, c, h, w)).unwrap().to_owned()
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

/// The same closed form, for given measurements, against samples.
static TABLE: Exercise = Exercise::new("4.5 restore", || {
    const COUNT: usize = 1500;
    let shape = [1, 4, 4];
    let covariance = smooth_covariance();
    let place = |i: usize| i / 4 * SIDE + i % 4;
    let covariance = Array2::from_shape_fn((16, 16), |(i, j)| covariance[[place(i), place(j)]]);
    let mean = Array1::from_elem(16, PRIOR_MEAN);
    let model = GaussianModel::new(Schedule::linear(), shape, mean, covariance).expect("a covariance");
    let operator = Inpainting::random(shape, 0.7, 1).expect("a share of the pixels");
    let truth = model.sample(1, &mut StdRng::seed_from_u64(6));
    let b = operator.apply(&truth).expect("an image that fits");
    let guide = operator.start_image(&b).expect("a measurement that fits");
    let (mean, covariance) = limit(&model, &guide, 300);
    let mut guard = Guard::new("restore", SAMPLER);
    let samples = guard.call("a Gaussian prior, inpainting, one pass from t0 = 300", move || {
        let steps = steps_from(model.schedule(), 300, 1000).expect("within the schedule");
        let rng = &mut StdRng::seed_from_u64(7);
        restore(&model, &operator, &copies(&b, COUNT), &steps, 1, rng, &mut ()).map_err(|error| format!("{error:#}"))
    })?;
    let samples = samples.map_err(|error| Fault::new(format!("restore returned an error: {error}")))?;
    let expected = Expected {
        mean,
        covariance,
        sigmas: 5.0,
        mean_allowance: 0.004,
        covariance_allowance: 0.002,
    };
    check_moments("restore from t0 = 300 on a Gaussian prior", &samples, &expected).map_err(Fault::new)
})
.needs(&[&LOOP, &MASKED_LOOP, &RESTORE])
.after(&RESTORE);

#[test]
fn the_formulas_behind_the_table_describe_what_restore_does() {
    TABLE.tell();
}
