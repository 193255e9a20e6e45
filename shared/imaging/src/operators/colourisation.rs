//! Colourisation: the measurement is the grey image.

use ndarray::{Array4, ArrayRef4};

use super::{check_image_shape, check_images, check_measurement, check_pullback, refuse};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};

const NAME: &str = "colourisation";
/// How bright red, green and blue are to the eye: ITU-R Recommendation BT.601. Their sum is 1.
const WEIGHTS: [f32; 3] = [0.299, 0.587, 0.114];

/// The grey value of each pixel, `A x = 0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601), as `[1, H, W]`.
///
/// With `w` these weights, `A^T b = w b` and `A^+ b = w b / ||w||^2`: the solution of least norm is greenish, because green
/// gives the most grey for its norm. The start image is the grey one instead, which explains the measurement as
/// well, because the weights sum to 1.
#[derive(Clone, Debug)]
pub struct Colourisation {
    image_shape: [usize; 3],
}

impl Colourisation {
    /// For images `[3, H, W]`.
    ///
    /// # Errors
    /// Another number of channels than 3, or no pixels.
    pub fn new(image_shape: [usize; 3]) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if image_shape[0] != WEIGHTS.len() {
            return Err(refuse(
                NAME,
                "the number of channels",
                "3: red, green, blue",
                image_shape[0],
            ));
        }
        Ok(Self { image_shape })
    }

    /// Each grey value times a weight for each channel.
    fn tint(&self, b: &ArrayRef4<f32>, weights: [f32; 3]) -> Array4<f32> {
        let [channels, height, width] = self.image_shape;
        let shape = (b.shape()[0], channels, height, width);
        Array4::from_shape_fn(shape, |(image, channel, y, x)| weights[channel] * b[[image, 0, y, x]])
    }
}

impl ForwardOperator for Colourisation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Colourisation
    }

    fn parameters(&self) -> String {
        let [red, green, blue] = WEIGHTS;
        format!("grey = {red} R + {green} G + {blue} B")
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        [1, self.image_shape[1], self.image_shape[2]]
    }

    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        let [_, height, width] = self.image_shape;
        let shape = (x.shape()[0], 1, height, width);
        Ok(Array4::from_shape_fn(shape, |(image, _, row, column)| {
            let channels = WEIGHTS.iter().enumerate();
            channels.map(|(c, weight)| weight * x[[image, c, row, column]]).sum()
        }))
    }

    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_pullback(self, x, v)?;
        Ok(self.tint(v, WEIGHTS))
    }

    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        let norm_squared: f32 = WEIGHTS.iter().map(|weight| weight * weight).sum();
        Ok(self.tint(b, WEIGHTS.map(|weight| weight / norm_squared)))
    }

    /// The grey image, in all three channels.
    fn start_image(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.tint(b, [1.0; 3]))
    }
}
