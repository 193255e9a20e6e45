//! What the two closed-form models share: errors of their making, and images as rows of numbers.

use ndarray::{Array2, Array4, ArrayRef4};
use thiserror::Error;

/// Why a closed-form model could not be made.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ClosedFormError {
    /// A parameter has the wrong size for the image shape.
    #[error("{what} has size {got:?}, expected {expected:?}")]
    Size {
        /// Which parameter.
        what: &'static str,
        /// The size that fits the image shape.
        expected: Vec<usize>,
        /// The size it has.
        got: Vec<usize>,
    },
    /// A parameter holds a NaN or an infinity.
    #[error("{what} holds a NaN or an infinity")]
    NonFinite {
        /// Which parameter.
        what: &'static str,
    },
    /// A covariance matrix is not symmetric.
    #[error("the covariance is not symmetric: entries ({i}, {j}) and ({j}, {i}) differ")]
    NotSymmetric {
        /// The row of the entry at fault.
        i: usize,
        /// Its column.
        j: usize,
    },
    /// A variance, or an eigenvalue of a covariance, is negative.
    #[error("a variance (an eigenvalue of the covariance) is negative: {value}")]
    NegativeVariance {
        /// The value at fault.
        value: f64,
    },
    /// Mixture weights must be positive.
    #[error("the weights of a mixture are positive, got {value}")]
    Weight {
        /// The value at fault.
        value: f64,
    },
    /// A mixture without components.
    #[error("a mixture needs at least one component")]
    NoComponents,
}

/// Checks the size and the finiteness of a parameter.
pub(crate) fn check_parameter<'v>(
    what: &'static str,
    expected: &[usize],
    got: &[usize],
    values: impl IntoIterator<Item = &'v f64>,
) -> Result<(), ClosedFormError> {
    if expected != got {
        return Err(ClosedFormError::Size {
            what,
            expected: expected.to_vec(),
            got: got.to_vec(),
        });
    }
    if values.into_iter().any(|v| !v.is_finite()) {
        return Err(ClosedFormError::NonFinite { what });
    }
    Ok(())
}

/// A batch of images as rows of `C * H * W` numbers, in `f64`.
pub(crate) fn to_rows(x: &ArrayRef4<f32>) -> Array2<f64> {
    let (b, c, h, w) = x.dim();
    let values = x.iter().map(|v| f64::from(*v)).collect();
    Array2::from_shape_vec((b, c * h * w), values).expect("the sizes agree")
}

/// The way back from [`to_rows`].
pub(crate) fn from_rows(rows: &Array2<f64>, shape: [usize; 3]) -> Array4<f32> {
    let [c, h, w] = shape;
    let values = rows.iter().map(|v| *v as f32).collect();
    Array4::from_shape_vec((rows.nrows(), c, h, w), values).expect("the sizes agree")
}
