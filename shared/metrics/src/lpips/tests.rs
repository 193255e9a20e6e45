//! The published architectures against the reference package (`scripts/lpips_fixtures.py`), and the definition against
//! itself.

use ndarray::{Array3, Array4, Axis};
use nn::NamedTensor;

use super::published::{TensorSpec, backbone_tensors, linear_tensors};
use super::{Backbone, Lpips, LpipsError};

const PUBLISHED: [Backbone; 3] = [Backbone::Alex, Backbone::Vgg, Backbone::Squeeze];

/// The numbers that the script makes, see there.
fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f64> {
    let start = stream.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..count as u64).map(move |index| {
        let z = start.wrapping_add(index);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
    })
}

fn tensor((name, shape): TensorSpec, stream: u64, to_value: impl Fn(f64) -> f64) -> NamedTensor {
    let values = uniform(stream, shape.iter().product())
        .map(|u| to_value(u) as f32)
        .collect();
    NamedTensor { name, shape, values }
}

fn hashed_tensors(backbone: Backbone) -> Vec<NamedTensor> {
    let network = (0..).zip(backbone_tensors(backbone)).map(|(stream, spec)| {
        let fan_in = spec.1[1..].iter().product::<usize>() as f64;
        let bound = if spec.1.len() == 1 { 0.1 } else { (6.0 / fan_in).sqrt() };
        tensor(spec, stream, |u| (2.0 * u - 1.0) * bound)
    });
    let linear = (1000..)
        .zip(linear_tensors(backbone))
        .map(|(stream, spec)| tensor(spec, stream, |u| u));
    network.chain(linear).collect()
}

#[derive(serde::Deserialize)]
struct Case {
    backbone: String,
    height: usize,
    width: usize,
    distances: Vec<f64>,
    gradient_step: usize,
    gradients: Vec<Vec<f64>>,
}

/// Predictions and ground truths, `[2, 3, H, W]` each.
fn images(height: usize, width: usize) -> (Array4<f32>, Array4<f32>) {
    let count = 6 * height * width;
    let truth: Vec<f64> = uniform(2001, count).map(|u| 2.0 * u - 1.0).collect();
    let other = uniform(2000, count).map(|u| 2.0 * u - 1.0);
    let mix = |(index, other): (usize, f64)| {
        if index < count / 2 {
            0.75 * truth[index] + 0.25 * other
        } else {
            other
        }
    };
    let prediction: Vec<f64> = other.enumerate().map(mix).collect();
    let array = |values: Vec<f64>| {
        let values = values.into_iter().map(|x| x as f32).collect();
        Array4::from_shape_vec((2, 3, height, width), values).expect("as many values as the shape says")
    };
    (array(prediction), array(truth))
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../tests/fixtures/lpips.json")).expect("the fixtures")
}

#[test]
fn distances_and_gradients_agree_with_the_reference_package() -> Result<(), LpipsError> {
    let cases = cases();
    assert_eq!(cases.len(), PUBLISHED.len());
    for case in cases {
        let backbone = Backbone::from_name(&case.backbone).expect("a known backbone");
        let lpips = Lpips::from_tensors(backbone, &hashed_tensors(backbone))?;
        let (predictions, truths) = images(case.height, case.width);
        let batched = lpips.distances(&predictions, &truths)?;
        assert_eq!(batched.len(), 2);
        for (pair, batched) in batched.into_iter().enumerate() {
            let (prediction, truth) = (predictions.index_axis(Axis(0), pair), truths.index_axis(Axis(0), pair));
            let (distance, gradient) = lpips.distance_with_gradient(&prediction, &truth)?;
            for found in [distance, batched, lpips.distance(&prediction, &truth)?] {
                let error = (found - case.distances[pair]).abs();
                assert!(
                    error < 1e-5,
                    "{backbone:?}, pair {pair}: {found} instead of {}",
                    case.distances[pair]
                );
            }
            // Gradients are far smaller than distances: 1e-5 of the largest one, not of 1.
            let expected = &case.gradients[pair];
            let largest = expected.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            let found: Vec<f32> = gradient.iter().copied().step_by(case.gradient_step).collect();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error < 1e-5 * largest.max(1.0),
                    "{backbone:?}, pair {pair}: slope {found} instead of {expected}"
                );
                assert!(
                    error < 1e-4 * largest,
                    "{backbone:?}, pair {pair}: slope {found} instead of {expected}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let mut tensors = hashed_tensors(Backbone::Squeeze);
    let message = |tensors: &[NamedTensor]| match Lpips::from_tensors(Backbone::Squeeze, tensors) {
        Ok(_) => "no error".to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(message(&tensors), "no error");
    let last = tensors.len() - 1;
    assert_eq!(tensors[last].name, "lin6.model.1.weight");
    tensors[last].values[3] = -0.5;
    assert!(message(&tensors).contains("`lin6.model.1.weight` holds -0.5, expected numbers from 0 on"));
    tensors[0].shape = vec![64, 3, 9, 1];
    assert!(message(&tensors[..last]).contains("lacks 1 of the network's tensors: lin6.model.1.weight"));
    tensors[last].values[3] = 0.0;
    let wrong = message(&tensors);
    assert!(
        wrong.contains("LPIPS (squeeze)") && wrong.contains("[64, 3, 9, 1]"),
        "{wrong}"
    );
}

/// A smooth picture and another, `[3, size, size]`.
fn pictures(size: usize) -> (Array3<f32>, Array3<f32>) {
    let wave = |phase: f32| {
        Array3::from_shape_fn((3, size, size), |(c, y, x)| {
            0.8 * (0.3 * (y as f32) + phase + c as f32).sin() * (0.2 * x as f32 - phase).cos()
        })
    };
    (wave(0.0), wave(0.4))
}

#[test]
fn the_embedded_gradient_matches_central_differences() -> Result<(), LpipsError> {
    let lpips = Lpips::embedded()?;
    let (truth, prediction) = pictures(24);
    let (distance, gradient) = lpips.distance_with_gradient(&prediction, &truth)?;
    approx::assert_relative_eq!(distance, lpips.distance(&prediction, &truth)?, max_relative = 1e-5);
    // Along the gradient itself, and along directions that have nothing to do with it: the slope must be the inner
    // product. A step of 0.02 along a direction of length 1 moves the distance by far more than the rounding of f32
    // features (1e-7 of 1), and its curvature cancels in the difference.
    let unit = |x: Array3<f32>| {
        let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        x / length
    };
    let along: Vec<Array3<f32>> = (1..6u64)
        .map(|stream| {
            let values = uniform(stream, truth.len()).map(|u| (u - 0.5) as f32).collect();
            Array3::from_shape_vec(truth.dim(), values).expect("as many values as the shape says")
        })
        .chain([gradient.clone()])
        .map(unit)
        .collect();
    let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    assert!(length > 1e-3, "a gradient of length {length} would prove nothing");
    for direction in &along {
        let at = |step: f32| lpips.distance(&(&prediction + &(direction * step)), &truth);
        let numeric = (at(0.02)? - at(-0.02)?) / 0.04;
        let slope: f64 = direction
            .iter()
            .zip(&gradient)
            .map(|(d, g)| f64::from(*d) * f64::from(*g))
            .sum();
        assert!(
            (numeric - slope).abs() < 0.01 * length,
            "central differences say {numeric}, the gradient {slope}"
        );
    }
    Ok(())
}
