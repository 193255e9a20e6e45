//! Super-resolution: the measurement is a smaller image.

use ndarray::{Array4, ArrayRef4};

use super::{check_image_shape, check_images, check_measurement, check_pullback, map_planes, refuse};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};

/// Average pooling: each pixel of the measurement is the mean of `factor` x `factor` pixels of the image.
///
/// The rows of `A` do not overlap and have the norm `1 / factor`, so `A A^T = I / factor^2`: the adjoint spreads a value evenly
/// over its square, divided by `factor^2`, and the pseudo-inverse `factor^2 A^T` repeats it.
#[derive(Clone, Debug)]
pub struct SuperResolution {
    image_shape: [usize; 3],
    factor: usize,
}

const NAME: &str = "super-resolution";

impl SuperResolution {
    /// - `image_shape`: `[C, H, W]`, `H` and `W` multiples of `factor`
    /// - `factor`: the pinned setting is 4
    ///
    /// # Errors
    /// A factor of 0, or sides that are no multiples of it.
    pub fn new(image_shape: [usize; 3], factor: usize) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        let [_, height, width] = image_shape;
        if factor == 0 || !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
            return Err(refuse(
                NAME,
                "the factor",
                format!("a divisor of both sides of the image, {height} and {width}"),
                factor,
            ));
        }
        Ok(Self { image_shape, factor })
    }

    /// Each value over its square of pixels, times `weight`.
    fn spread(&self, b: &ArrayRef4<f32>, weight: f32) -> Array4<f32> {
        let ([_, height, width], factor) = (self.image_shape, self.factor);
        map_planes(
            b,
            [height, width],
            || (),
            |(), from, to| {
                for (place, pixel) in to.iter_mut().enumerate() {
                    let (y, x) = (place / width / factor, place % width / factor);
                    *pixel = weight * from[y * (width / factor) + x];
                }
            },
        )
    }
}

impl ForwardOperator for SuperResolution {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Downsampling
    }

    fn parameters(&self) -> String {
        format!("{0}x{0} pixels averaged", self.factor)
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.image_shape;
        [channels, height / self.factor, width / self.factor]
    }

    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        let ([_, height, width], [_, _, image_width], factor) =
            (self.measurement_shape(), self.image_shape, self.factor);
        let area = (factor * factor) as f64;
        Ok(map_planes(
            x,
            [height, width],
            || (),
            |(), from, to| {
                for (place, pixel) in to.iter_mut().enumerate() {
                    let corner = place / width * factor * image_width + place % width * factor;
                    let sum: f64 = (0..factor)
                        .flat_map(|row| &from[corner + row * image_width..][..factor])
                        .map(|&value| f64::from(value))
                        .sum();
                    *pixel = (sum / area) as f32;
                }
            },
        ))
    }

    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_pullback(self, x, v)?;
        Ok(self.spread(v, 1.0 / (self.factor * self.factor) as f32))
    }

    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.spread(b, 1.0))
    }

    /// The small image itself.
    fn picture(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(b.to_owned())
    }
}
