//! What every operator asks of the arrays that it is given.

use ndarray::{ArrayRef2, ArrayRef4};

use super::error::{OperatorError, refuse};
use super::forward::ForwardOperator;

/// What every operator asks of a batch: `expected` as the shape of each of its arrays, and finite numbers.
pub(crate) fn check_batch(
    operator: &'static str,
    what: &'static str,
    batch: &ArrayRef4<f32>,
    expected: [usize; 3],
) -> Result<(), OperatorError> {
    if batch.shape()[1..] != expected {
        return Err(OperatorError::Shape {
            operator,
            what,
            expected,
            got: batch.shape().to_vec(),
        });
    }
    // A pass without indices is many times faster, and almost always enough.
    if batch.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    if let Some((index, &value)) = batch.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(OperatorError::NotFinite {
            operator,
            what,
            shape: batch.shape().to_vec(),
            index: vec![index.0, index.1, index.2, index.3],
            value,
        });
    }
    Ok(())
}

pub(super) fn check_images(
    operator: &(impl ForwardOperator + ?Sized),
    x: &ArrayRef4<f32>,
) -> Result<(), OperatorError> {
    check_batch(operator.name(), "the batch of images", x, operator.image_shape())
}

pub(super) fn check_measurement(
    operator: &(impl ForwardOperator + ?Sized),
    b: &ArrayRef4<f32>,
) -> Result<(), OperatorError> {
    check_batch(operator.name(), "the measurement", b, operator.measurement_shape())
}

/// Images, and as many vectors of the measurement's shape.
pub(super) fn check_pullback(
    operator: &(impl ForwardOperator + ?Sized),
    x: &ArrayRef4<f32>,
    v: &ArrayRef4<f32>,
) -> Result<(), OperatorError> {
    let name = operator.name();
    check_images(operator, x)?;
    check_batch(name, "the vector to pull back", v, operator.measurement_shape())?;
    let (images, vectors) = (x.shape()[0], v.shape()[0]);
    if images == vectors {
        return Ok(());
    }
    Err(OperatorError::BatchSize {
        operator: name,
        images,
        vectors,
    })
}

/// As many measurements as images.
pub(super) fn check_same_number(
    operator: &(impl ForwardOperator + ?Sized),
    x: &ArrayRef4<f32>,
    b: &ArrayRef4<f32>,
) -> Result<(), OperatorError> {
    if x.shape()[0] == b.shape()[0] {
        return Ok(());
    }
    let [channels, height, width] = operator.measurement_shape();
    Err(OperatorError::Measurement {
        operator: operator.name(),
        expected: vec![x.shape()[0], channels, height, width],
        got: b.shape().to_vec(),
    })
}

/// Coefficients `[B, count]`, finite.
pub(super) fn check_coefficients(
    operator: &'static str,
    what: &'static str,
    coefficients: &ArrayRef2<f32>,
    count: usize,
) -> Result<(), OperatorError> {
    if coefficients.ncols() != count {
        let (expected, got) = (format!("[B, {count}]"), format!("{:?}", coefficients.shape()));
        return Err(refuse(operator, format!("the shape of {what}"), expected, got));
    }
    if let Some((index, &value)) = coefficients.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(OperatorError::NotFinite {
            operator,
            what,
            shape: coefficients.shape().to_vec(),
            index: vec![index.0, index.1],
            value,
        });
    }
    Ok(())
}

/// A variance: 0 or more.
pub(super) fn check_not_negative(operator: &'static str, what: &'static str, value: f64) -> Result<(), OperatorError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(refuse(operator, what, "0 or more, and finite", value))
}

/// A weight: above 0.
pub(super) fn check_positive(operator: &'static str, what: &'static str, value: f64) -> Result<(), OperatorError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(refuse(operator, what, "above 0, and finite", value))
}
