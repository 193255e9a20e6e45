//! LPIPS as its users meet it: the embedded backbone, and images that cannot be compared.

use std::path::Path;

use metrics::{Backbone, Lpips, LpipsError};
use ndarray::{Array3, Array4, Axis, s};

/// A picture with edges and slopes, `[3, size, size]`, another for each `seed`.
fn picture(size: usize, seed: usize) -> Array3<f32> {
    Array3::from_shape_fn((3, size, size), |(c, y, x)| {
        let stripes = if (x + seed * y / 3 + 2 * c).is_multiple_of(7) {
            0.5
        } else {
            -0.3
        };
        stripes + 0.4 * ((y * (seed + 1) + x) as f32 * 0.1 + c as f32).sin()
    })
}

#[test]
fn a_lpips_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Lpips>();
}

#[test]
fn equal_images_are_at_distance_zero_and_others_are_not() -> Result<(), LpipsError> {
    let lpips = Lpips::embedded()?;
    assert_eq!((lpips.name(), lpips.backbone()), ("embedded", Backbone::Embedded));
    let (a, b) = (picture(64, 1), picture(64, 2));
    assert_eq!(lpips.distance(&a, &a)?, 0.0);
    let (there, back) = (lpips.distance(&a, &b)?, lpips.distance(&b, &a)?);
    assert!(there > 0.01, "two different pictures are at distance {there}");
    approx::assert_relative_eq!(there, back, max_relative = 1e-9);
    Ok(())
}

/// The kernels sum in another order for another number of images, so the last bits may differ.
#[test]
fn a_batch_gives_the_distances_of_its_pairs() -> Result<(), LpipsError> {
    let lpips = Lpips::embedded()?;
    let mut batches = [Array4::zeros((11, 3, 32, 40)), Array4::zeros((11, 3, 32, 40))];
    for (offset, batch) in batches.iter_mut().enumerate() {
        for (index, mut image) in batch.outer_iter_mut().enumerate() {
            image.assign(&picture(40, index + 3 * offset).slice(s![.., ..32, ..]));
        }
    }
    let [predictions, truths] = batches;
    let distances = lpips.distances(&predictions, &truths)?;
    assert_eq!(distances.len(), 11);
    for (index, distance) in distances.iter().enumerate() {
        let one = lpips.distance(
            &predictions.index_axis(Axis(0), index),
            &truths.index_axis(Axis(0), index),
        )?;
        approx::assert_relative_eq!(*distance, one, max_relative = 1e-4);
    }
    Ok(())
}

#[test]
fn the_prediction_is_clamped_before_its_features_are_taken() -> Result<(), LpipsError> {
    let lpips = Lpips::embedded()?;
    let (truth, mut prediction) = (picture(32, 1), picture(32, 4));
    prediction[[1, 20, 20]] = 1.0;
    let inside = lpips.distance(&prediction, &truth)?;
    prediction[[1, 20, 20]] = 7.0;
    assert_eq!(lpips.distance(&prediction, &truth)?, inside);
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_an_error() -> Result<(), LpipsError> {
    let lpips = Lpips::embedded()?;
    let truth = Array3::<f32>::zeros((3, 32, 32));
    let message = |a: &Array3<f32>, b: &Array3<f32>| match lpips.distance(a, b) {
        Ok(value) => format!("(no error: {value})"),
        Err(error) => error.to_string(),
    };
    let shape = message(&Array3::zeros((3, 32, 33)), &truth);
    assert!(
        shape.contains("[3, 32, 33]") && shape.contains("[3, 32, 32]"),
        "{shape}"
    );
    let mut nan = truth.clone();
    nan[[1, 2, 3]] = f32::NAN;
    assert!(message(&nan, &truth).contains("prediction holds NaN at [1, 2, 3]"));
    assert!(message(&truth, &Array3::from_elem((3, 32, 32), 255.0)).contains("expected pixels in [-1, 1]"));
    let grey = Array3::zeros((1, 32, 32));
    assert!(message(&grey, &grey).contains("1 channels, expected 3"));
    let small = Array3::zeros((3, 15, 32));
    assert!(message(&small, &small).contains("at least 16x16"));
    let (two, three) = (Array4::zeros((2, 3, 16, 16)), Array4::zeros((3, 3, 16, 16)));
    assert!(lpips.distances(&two, &three).is_err());
    let none = two.slice(s![..0, .., .., ..]);
    assert!(lpips.distances(&none, &none)?.is_empty());
    Ok(())
}

#[test]
fn a_backbone_that_was_not_imported_says_how_to() {
    for backbone in [Backbone::Alex, Backbone::Vgg, Backbone::Squeeze] {
        let path = Path::new("no/such/folder").join(backbone.file_name());
        let message = Lpips::load(backbone, &path)
            .err()
            .map_or_else(String::new, |error| error.to_string());
        let command = format!("lpips-weights -- fetch {}", backbone.name());
        assert!(
            message.contains(&command) && message.contains("no/such/folder"),
            "{message}"
        );
    }
}
