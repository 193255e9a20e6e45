//! What every operator is to a solver: `A`, its vector-Jacobian product, and a first guess from a measurement.

use std::fmt::Debug;

use ndarray::{Array4, ArrayRef4};

use super::check::{check_images, check_measurement, check_pullback};
use super::error::OperatorError;
use super::kind::OperatorKind;
use super::linear::LinearOperator;
use super::spectral::SpectralOperator;

/// A forward operator `A` of the image formation model `b = A(x) + noise`, for images of one shape.
///
/// Images come as batches `[B, C, H, W]` in [-1, 1], measurements as batches `[B, ...measurement_shape()]`; the
/// operator acts on each image by itself. It is `f32` in and out. Lecture: "A Bayesian Perspective of Inverse
/// Problems", where `A` is a matrix of `M` rows; here it may be nonlinear, too.
///
/// It is the lowest rung of a ladder: what only a linear operator can do is in [`LinearOperator`], what asks for its
/// singular value decomposition in [`SpectralOperator`]; [`Self::linear`] and [`Self::spectral`] lead there. The traits
/// can be made into objects; solvers take `&dyn ForwardOperator`.
///
/// Whoever writes an operator writes the functions named `..._unchecked`; whoever uses one calls those without, which
/// look at shapes and numbers first. `examples/own_operator.rs` writes one.
pub trait ForwardOperator: Debug + Send + Sync {
    /// Its name, as the command line calls it: `box-inpainting`.
    fn name(&self) -> &'static str;

    /// What it does to an image.
    fn kind(&self) -> OperatorKind;

    /// Its parameters in words, for reports: `24x24 pixels in the centre`.
    fn description(&self) -> String;

    /// The shape `[C, H, W]` of one image.
    fn image_shape(&self) -> [usize; 3];

    /// The shape of one measurement; `[C, 1, M]` where it is no image.
    fn measurement_shape(&self) -> [usize; 3];

    /// [`Self::apply`] of a batch that is known to be right.
    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32>;

    /// [`Self::vjp`] of batches that are known to be right.
    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32>;

    /// [`Self::start_image`] of a measurement that is known to be right: the pseudo-inverse of a linear operator,
    /// mid-grey for any other.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let [channels, height, width] = self.image_shape();
        match self.as_linear() {
            Some(linear) => linear.pseudo_inverse_unchecked(b),
            None => Array4::zeros((b.shape()[0], channels, height, width)),
        }
    }

    /// [`Self::picture`] of a measurement that is known to be right: the start image.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.start_image_unchecked(b)
    }

    /// Itself, if `A(x)` is linear in `x`.
    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        None
    }

    /// The noiseless measurement `A(x)` of each image.
    ///
    /// # Errors
    ///
    /// If the images have another shape than [`Self::image_shape`], or hold a NaN or an infinity.
    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        Ok(self.apply_unchecked(x))
    }

    /// The vector-Jacobian product `J_A(x)^T v`, image by image: `A^T v` for a linear operator, whatever `x` is.
    ///
    /// With `v = b - A(x)` this is half the downhill direction of `||b - A(x)||^2`.
    ///
    /// - `x`: images, `[B, C, H, W]`
    /// - `v`: `[B, ...measurement_shape()]`
    /// - returns `[B, C, H, W]`
    ///
    /// # Errors
    ///
    /// If a shape is wrong or the two batches differ in size, or on a NaN or an infinity.
    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_pullback(self, x, v)?;
        Ok(self.vjp_unchecked(x, v))
    }

    /// A first guess at the image from a measurement, without any prior; not too far from [-1, 1] even if the noise is
    /// large. Where nothing better is to be had it is the pseudo-inverse.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`], for the measurement's shape.
    fn start_image(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.start_image_unchecked(b))
    }

    /// The measurement as a picture `[B, C, H, W]` for people to look at (any `H`, `W`), in [-1, 1] or nearly so.
    ///
    /// # Errors
    ///
    /// As [`Self::start_image`].
    fn picture(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.picture_unchecked(b))
    }

    /// Itself as a linear operator.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotLinear`] for one that is none.
    fn linear(&self) -> Result<&dyn LinearOperator, OperatorError> {
        self.as_linear()
            .ok_or(OperatorError::NotLinear { operator: self.name() })
    }

    /// Itself as an operator whose singular value decomposition is known.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotLinear`] or [`OperatorError::NotSpectral`] for one that is none.
    fn spectral(&self) -> Result<&dyn SpectralOperator, OperatorError> {
        let refused = OperatorError::NotSpectral { operator: self.name() };
        self.linear()?.as_spectral().ok_or(refused)
    }
}
