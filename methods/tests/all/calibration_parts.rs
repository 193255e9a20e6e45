//! What calibration stands on: posteriors against integrals, coverage by hand, distances that are known.

use imaging::{Convolution, ForwardOperator, Inpainting, SuperResolution};
use methods::calibration::closed_forms::ClosedForm;
use methods::calibration::gaussians::Gaussians;
use methods::calibration::quantities::{Observation, Quantities, Trial, reference_points};
use methods::calibration::summary::Summary;
use methods::calibration::wasserstein::sliced_wasserstein;
use ndarray::{Array1, Array2, Array3, Array4, Axis, array};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Mean and variances of a density in the plane by summing over a grid.
fn moments(density: impl Fn(f64, f64) -> f64) -> (Array1<f64>, Array1<f64>) {
    let (mut mass, mut first, mut second) = (0.0, Array1::<f64>::zeros(2), Array1::<f64>::zeros(2));
    for i in -300..300 {
        for j in -300..300 {
            let x = array![0.01 * f64::from(i), 0.01 * f64::from(j)];
            let weight = density(x[0], x[1]);
            mass += weight;
            first += &(&x * weight);
            second += &(x.mapv(|x| x * x) * weight);
        }
    }
    let mean = first / mass;
    let variances = second / mass - mean.mapv(|x| x * x);
    (mean, variances)
}

#[test]
fn the_posterior_of_a_mixture_is_what_integration_finds() -> Result {
    const SIGMA: f64 = 0.2;
    let means = [[0.5, -0.5], [-0.4, 0.3]];
    let (weights, correlation, variance) = ([0.7, 0.3], [0.6, -0.4], 0.1);
    let covariance = |k: usize| array![[1.0, correlation[k]], [correlation[k], 1.0]] * variance;
    let prior = Gaussians::new(
        (0..2)
            .map(|k| (weights[k], Array1::from(means[k].to_vec()), covariance(k)))
            .collect(),
    );
    let (a, b) = (array![[0.8, 0.4]], 0.05);
    let density = |x: f64, y: f64| {
        let of_prior = |k: usize| {
            let (dx, dy, r) = (x - means[k][0], y - means[k][1], correlation[k]);
            let form = (dx * dx - 2.0 * r * dx * dy + dy * dy) / (variance * (1.0 - r * r));
            weights[k] * (-form / 2.0).exp() / (1.0 - r * r).sqrt()
        };
        let left = b - 0.8 * x - 0.4 * y;
        (of_prior(0) + of_prior(1)) * (-left * left / (2.0 * SIGMA * SIGMA)).exp()
    };
    let (mean, variances) = moments(density);
    let posterior = prior.given(&a, &array![b], SIGMA);
    let draws = posterior.sample(20_000, &mut StdRng::seed_from_u64(1));
    let (drawn, spread) = (draws.mean_axis(Axis(0)).ok_or("draws")?, draws.var_axis(Axis(0), 1.0));
    for i in 0..2 {
        assert!(
            (posterior.mean()[i] - mean[i]).abs() < 1e-6,
            "{} {mean}",
            posterior.mean()
        );
        assert!((posterior.variances()[i] - variances[i]).abs() < 1e-6, "{variances}");
        // Five standard errors; that of the variance as of a normal law, whose tails these modes do not have.
        assert!((drawn[i] - mean[i]).abs() < 5.0 * (variances[i] / 2e4).sqrt());
        assert!((spread[i] / variances[i] - 1.0).abs() < 5.0 * (2.0 / 2e4_f64).sqrt());
    }
    Ok(())
}

#[test]
fn the_closed_forms_posterior_explains_the_measurement() -> Result {
    for form in &ClosedForm::all() {
        let rng = &mut StdRng::seed_from_u64(3);
        let truth = form.draw(1, rng);
        let b = form.operator().apply(&truth)?;
        let posterior = form.posterior(&b.index_axis(Axis(0), 0));
        let mean = posterior
            .mean()
            .mapv(|x| x as f32)
            .into_shape_with_order((1, 1, 4, 4))?;
        let left = imaging::residual_norms(form.operator(), &b, &mean)?[0];
        // Nothing was added to the measurement: the mean leaves less of it than noise would be.
        let noise = ClosedForm::SIGMA * (b.len() as f64).sqrt();
        assert!(f64::from(left) < noise, "{}: {left}", form.name());
        // The score of both is of one prior: its mean image has none.
        assert_eq!(form.model().image_shape(), [1, 4, 4]);
    }
    Ok(())
}

#[test]
fn the_distance_of_moved_and_widened_points_is_known() {
    let rng = &mut StdRng::seed_from_u64(0);
    let a = Array2::from_shape_fn((50, 1), |(i, _)| (i as f64 * 0.7).sin());
    assert_eq!(sliced_wasserstein(&a, &a, 8, rng), 0.0);
    assert!((sliced_wasserstein(&a, &(&a + 0.3), 8, rng) - 0.3).abs() < 1e-12);
    let size = a.mapv(|x| x * x).mean().unwrap_or_default().sqrt();
    assert!((sliced_wasserstein(&a, &(&a * 3.0), 8, rng) - 2.0 * size).abs() < 1e-12);
    // A direction in d dimensions sees 1 / sqrt(d) of a shift, give or take what so many directions leave to chance.
    let b = Array2::from_shape_fn((50, 16), |(i, j)| ((i * 16 + j) as f64).sin());
    let moved = &b + &array![[0.3, 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.]];
    let squared = sliced_wasserstein(&b, &moved, 2000, rng).powi(2) * 16.0 / 0.09;
    assert!((squared - 1.0).abs() < 5.0 * (2.0 / 2000.0_f64).sqrt(), "{squared}");
}

/// 19 samples of constant images -9 ... 9, over ten.
fn samples(operator: &dyn ForwardOperator) -> Array4<f32> {
    let [c, h, w] = operator.image_shape();
    Array4::from_shape_fn((19, c, h, w), |(l, ..)| (l as f32 - 9.0) / 10.0)
}

fn observed(operator: &dyn ForwardOperator, truth: &Array3<f32>) -> Result<Observation> {
    let b = operator.apply(&truth.clone().insert_axis(Axis(0)))?;
    let reference = Array3::from_elem(truth.dim(), 5.0);
    let trial = Trial {
        truth: truth.view(),
        b: b.index_axis(Axis(0), 0),
        samples: &samples(operator),
        reference: reference.view(),
    };
    Ok(Quantities::new(operator)?.observe(&trial)?)
}

#[test]
fn what_one_image_tells_by_hand() -> Result {
    let operator = SuperResolution::new([1, 8, 8], 2)?;
    // Above twelve samples; nearer to the reference than twelve; no sample explains the measurement better.
    let one = observed(&operator, &Array3::from_elem((1, 8, 8), 0.25))?;
    assert_eq!(one.ranks, [12, 12, 12, 12, 0, 7]);
    assert_eq!(one.covered, [1.0, 1.0]);
    // Samples' mean 0, their variance 0.01 times that of 1 to 19.
    assert!((one.error_of_mean - 0.0625).abs() < 1e-6, "{one:?}");
    assert!((one.variance - 0.01 * 19.0 * 20.0 / 12.0).abs() < 1e-6, "{one:?}");
    assert!((one.error_of_samples - (0.0625 + 0.01 * 30.0)).abs() < 1e-6, "{one:?}");
    // Half the pixels above seventeen samples, half below all: those are outside of both intervals.
    let half = Array3::from_shape_fn((1, 8, 8), |(_, y, _)| if y < 4 { 0.75 } else { -2.0 });
    assert_eq!(observed(&operator, &half)?.covered, [0.0, 0.5]);
    Ok(())
}

#[test]
fn hidden_pixels_are_found_and_looked_at() -> Result {
    let mask = Array2::from_shape_fn((8, 8), |(y, _)| y < 4);
    let inpainting = Inpainting::from_mask([3, 8, 8], &mask)?;
    let names = Quantities::new(&inpainting)?.names();
    assert_eq!(names[0], "hidden pixels");
    assert_eq!(
        names[1..3],
        ["pixel (4, 2)", "pixel (4, 4)"],
        "those nearest to where they would be"
    );
    // Hidden pixels above all samples, seen ones below all.
    let truth = Array3::from_shape_fn((3, 8, 8), |(_, y, _)| if y < 4 { -3.0 } else { 3.0 });
    assert_eq!(observed(&inpainting, &truth)?.ranks[0], 19);
    let blur = Convolution::gaussian([3, 8, 8], 5, 1.0)?;
    assert_eq!(Quantities::new(&blur)?.names()[0], "brightness");
    Ok(())
}

#[test]
fn a_reference_point_keeps_what_was_measured() -> Result {
    let mask = Array2::from_shape_fn((4, 4), |(y, _)| y < 2);
    let operator = Inpainting::from_mask([1, 4, 4], &mask)?;
    let z = Array4::from_elem((2, 1, 4, 4), 0.7);
    let b = Array4::from_elem((2, 1, 1, 8), -0.2);
    let points = reference_points(&operator, &z, &b)?;
    for ((_, _, y, _), &x) in points.indexed_iter() {
        let expected = if y < 2 { -0.2 } else { 0.7 };
        assert!((x - expected).abs() < 1e-6, "{points}");
    }
    Ok(())
}

#[test]
fn observations_of_different_methods_make_no_summary() {
    let one = Observation {
        samples: 19,
        ranks: vec![3, 4],
        covered: [0.5, 0.9],
        variance: 1.0,
        error_of_mean: 1.0,
        error_of_samples: 2.0,
    };
    let more = Observation {
        samples: 39,
        ..one.clone()
    };
    assert!(Summary::of(&[]).is_none() && Summary::of(&[one.clone(), more]).is_none());
    let summary = Summary::of(&[one.clone(), one]);
    assert!(summary.is_some_and(|summary| summary.uniformity().is_none() && summary.covered[1].mean == 0.9));
}
