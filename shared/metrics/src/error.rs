//! What can be wrong with the images that are to be compared.

use ndarray::ArrayRef3;

/// Why two images cannot be compared. Each message says what was expected, what came, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The two images differ in shape.
    #[error(
        "the prediction's shape is {prediction:?}, expected {truth:?} as the ground truth's; resize or crop one of them"
    )]
    Shape {
        /// `[C, H, W]` of the prediction.
        prediction: Vec<usize>,
        /// `[C, H, W]` of the ground truth.
        truth: Vec<usize>,
    },
    /// An image without pixels, or too small for the metric.
    #[error(
        "an image of shape {found:?} is too small for {metric}: expected at least {smallest}x{smallest} pixels and one \
         channel"
    )]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// The smallest height and width that it can be computed on.
        smallest: usize,
        /// The images' shape.
        found: Vec<usize>,
    },
    /// A pixel that is infinite or no number.
    #[error("the {image} holds {value} at {index:?}, expected finite numbers; find the step that made it")]
    NotFinite {
        /// `prediction` or `ground truth`; `image` where there is but one.
        image: &'static str,
        /// Channel, row and column.
        index: [usize; 3],
        /// The pixel.
        value: f32,
    },
    /// A ground truth on another scale.
    #[error(
        "the ground truth holds {value} at {index:?}, expected pixels in [-1, 1]; scale bytes with x = byte / 127.5 - 1"
    )]
    OutOfRange {
        /// Channel, row and column.
        index: [usize; 3],
        /// The pixel.
        value: f32,
    },
}

/// Why two sets of images cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrechetError {
    /// Too few points for a covariance.
    #[error("a set of {found} images has no covariance, expected at least 2, and more than there are features")]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// Moments of different sizes.
    #[error(
        "a covariance has the shape {found:?}, expected {expected} rows and columns: are both of one kind of features?"
    )]
    Size {
        /// The dimension that it should have.
        expected: usize,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A feature that is infinite or no number.
    #[error("the features hold a NaN or an infinity, expected finite numbers; look at the images")]
    NotFinite,
}

/// What every metric asks of its two images.
pub(crate) fn check(
    metric: &'static str,
    smallest: usize,
    prediction: &ArrayRef3<f32>,
    truth: &ArrayRef3<f32>,
) -> Result<(), MetricError> {
    if prediction.dim() != truth.dim() {
        return Err(MetricError::Shape {
            prediction: prediction.shape().to_vec(),
            truth: truth.shape().to_vec(),
        });
    }
    let (channels, height, width) = truth.dim();
    if channels == 0 || height < smallest || width < smallest {
        return Err(MetricError::TooSmall {
            metric,
            smallest,
            found: truth.shape().to_vec(),
        });
    }
    for (image, pixels) in [("prediction", prediction), ("ground truth", truth)] {
        if let Some(((c, y, x), &value)) = pixels.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(MetricError::NotFinite {
                image,
                index: [c, y, x],
                value,
            });
        }
    }
    // A rounding error above 1 is no other scale.
    if let Some(((c, y, x), &value)) = truth.indexed_iter().find(|(_, value)| value.abs() > 1.0 + 1e-5) {
        return Err(MetricError::OutOfRange {
            index: [c, y, x],
            value,
        });
    }
    Ok(())
}

/// A pixel in [-1, 1] on the scale of the metrics, [0, 1], clamped to it.
pub(crate) fn to_unit(pixel: f32) -> f64 {
    (f64::from(pixel).clamp(-1.0, 1.0) + 1.0) / 2.0
}
