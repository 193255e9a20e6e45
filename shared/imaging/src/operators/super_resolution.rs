//! Super-resolution: the measurement is a smaller image.

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};

use super::check_image_shape;
use super::planes::{back_from_seen_first, map_planes, seen_first};
use super::reflection::Reflection;
use crate::entry::{Entry, Recipe};
use crate::operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, refuse};

const NAME: &str = "super-resolution";

/// Average pooling: each pixel of the measurement is the mean of `factor` x `factor` pixels of the image.
///
/// The rows of `A` do not overlap and have the norm `1 / factor`, so `A A^T = I / factor^2`: the adjoint spreads a
/// value evenly over its square, divided by `factor^2`, and the pseudo-inverse `factor^2 A^T` repeats it.
#[derive(Clone, Debug)]
pub struct SuperResolution {
    image_shape: [usize; 3],
    factor: usize,
}

impl SuperResolution {
    /// - `image_shape`: `[C, H, W]`, `H` and `W` multiples of `factor`
    /// - `factor`: the pinned setting is 4
    ///
    /// # Errors
    ///
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

    /// The place of pixel `inside` of square number `square`, both counted in reading order.
    fn place(&self, square: usize, inside: usize) -> usize {
        let (width, factor) = (self.image_shape[2], self.factor);
        let in_row = width / factor;
        let (y, x) = (
            square / in_row * factor + inside / factor,
            square % in_row * factor + inside % factor,
        );
        y * width + x
    }

    /// How many squares a plane has, and how many pixels a square.
    fn squares(&self) -> (usize, usize) {
        let ([_, height, width], area) = (self.image_shape, self.factor * self.factor);
        (height * width / area, area)
    }

    fn reflection(&self) -> Reflection {
        Reflection::to(&vec![1.0; self.factor * self.factor])
    }
}

impl ForwardOperator for SuperResolution {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Downsampling
    }

    fn description(&self) -> String {
        format!("{0}x{0} pixels averaged", self.factor)
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.image_shape;
        [channels, height / self.factor, width / self.factor]
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        let ([_, height, width], [_, _, image_width], factor) =
            (self.measurement_shape(), self.image_shape, self.factor);
        let area = (factor * factor) as f64;
        map_planes(
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
        )
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.spread(v, 1.0 / (self.factor * self.factor) as f32)
    }

    /// The small image itself.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        b.to_owned()
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for SuperResolution {
    fn orthogonal_rows(&self) -> Option<f64> {
        Some(1.0 / (self.factor * self.factor) as f64)
    }

    fn pseudo_inverse_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.spread(b, 1.0)
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// `V` turns the pixels of each square so that the first axis is their mean; `U = I`.
impl SpectralOperator for SuperResolution {
    fn singular_values(&self) -> Vec<f32> {
        let measured = self.measurement_shape().iter().product();
        vec![1.0 / self.factor as f32; measured]
    }

    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32> {
        let ((squares, area), reflection) = (self.squares(), self.reflection());
        let memory = || vec![0.0; area];
        let coefficients = map_planes(x, [1, squares * area], memory, |pixels, from, to| {
            for square in 0..squares {
                for (inside, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = from[self.place(square, inside)].into();
                }
                reflection.apply(pixels);
                for (axis, &value) in pixels.iter().enumerate() {
                    to[axis * squares + square] = value as f32;
                }
            }
        });
        seen_first(&coefficients, squares)
    }

    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32> {
        let ([channels, height, width], (squares, area)) = (self.image_shape, self.squares());
        let (reflection, memory) = (self.reflection(), || vec![0.0; area]);
        let coefficients = back_from_seen_first(z, squares, channels);
        map_planes(&coefficients, [height, width], memory, |pixels, from, to| {
            for square in 0..squares {
                for (axis, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = from[axis * squares + square].into();
                }
                reflection.apply(pixels);
                for (inside, &value) in pixels.iter().enumerate() {
                    to[self.place(square, inside)] = value as f32;
                }
            }
        })
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "[:FACTOR]",
    meaning: "a smaller image (FACTOR 4)",
    kind: OperatorKind::Downsampling,
    parse: |words| {
        let factor = words.next("FACTOR", 4)?;
        Ok(Recipe::new(format!("{factor}"), move |image_shape, _seed| {
            SuperResolution::new(image_shape, factor)
        }))
    },
};
