//! The published architectures against the reference package (`scripts/lpips_fixtures.py`).

use metrics::networks::{TensorSpec, backbone_tensors, linear_tensors};
use metrics::{Backbone, Lpips, LpipsError};
use ndarray::{Array4, Axis};
use nn::NamedTensor;

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
    serde_json::from_str(include_str!("../fixtures/lpips.json")).expect("the fixtures")
}

#[test]
fn distances_agree_with_the_reference_package() -> Result<(), LpipsError> {
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
            for found in [batched, lpips.distance(&prediction, &truth)?] {
                let error = (found - case.distances[pair]).abs();
                assert!(
                    error < 1e-5,
                    "{backbone:?}, pair {pair}: {found} instead of {}",
                    case.distances[pair]
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
