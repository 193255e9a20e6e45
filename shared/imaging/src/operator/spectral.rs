//! What an operator can do whose singular value decomposition is known.

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};

use super::check::{check_coefficients, check_images, check_measurement};
use super::error::OperatorError;
use super::linear::LinearOperator;

/// A [`LinearOperator`] with a known singular value decomposition `A = U S V^T`, in real numbers.
///
/// An image of `N = C H W` numbers has as many coefficients, `V^T x`; a measurement of `M <= N` numbers has the `M`
/// coefficients `U^T b`. `U` and `V` are square and orthogonal: they keep norms, and white noise stays white.
/// Coefficient `i < M` of a noiseless measurement is `(U^T A x)_i = s_i (V^T x)_i`; the last `N - M` coefficients of
/// the image are never seen. The singular values `s_i >= 0` come in no particular order, and some may be 0.
///
/// DDRM (Kawar et al. 2022) and DDNM+ (Wang et al. 2023) work on these coefficients. They come as `[B, N]` and `[B,
/// M]`.
pub trait SpectralOperator: LinearOperator {
    /// `s_1 ... s_M`, at least 0.
    fn singular_values(&self) -> Vec<f32>;

    /// [`Self::image_to_spectrum`] of a batch that is known to be right.
    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32>;

    /// [`Self::spectrum_to_image`] of a batch that is known to be right.
    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32>;

    /// [`Self::measurement_to_spectrum`] of a batch that is known to be right: by default `U = I`.
    fn measurement_to_spectrum_unchecked(&self, b: &ArrayRef4<f32>) -> Array2<f32> {
        flatten(b)
    }

    /// [`Self::spectrum_to_measurement`] of a batch that is known to be right: by default `U = I`.
    fn spectrum_to_measurement_unchecked(&self, y: &ArrayRef2<f32>) -> Array4<f32> {
        unflatten(y, self.measurement_shape())
    }

    /// `V^T x`, `[B, N]`.
    ///
    /// # Errors
    ///
    /// If the images have another shape than the operator's, or hold a NaN or an infinity.
    fn image_to_spectrum(&self, x: &ArrayRef4<f32>) -> Result<Array2<f32>, OperatorError> {
        check_images(self, x)?;
        Ok(self.image_to_spectrum_unchecked(x))
    }

    /// `V z`, `[B, C, H, W]`, of coefficients `[B, N]`.
    ///
    /// # Errors
    ///
    /// If there are not `N` coefficients for each image, or on a NaN or an infinity.
    fn spectrum_to_image(&self, z: &ArrayRef2<f32>) -> Result<Array4<f32>, OperatorError> {
        let count = self.image_shape().iter().product();
        check_coefficients(self.name(), "the image's coefficients", z, count)?;
        Ok(self.spectrum_to_image_unchecked(z))
    }

    /// `U^T b`, `[B, M]`.
    ///
    /// # Errors
    ///
    /// As [`Self::image_to_spectrum`], for measurements.
    fn measurement_to_spectrum(&self, b: &ArrayRef4<f32>) -> Result<Array2<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.measurement_to_spectrum_unchecked(b))
    }

    /// `U y`, `[B, ...measurement_shape()]`, of coefficients `[B, M]`.
    ///
    /// # Errors
    ///
    /// As [`Self::spectrum_to_image`], for `M` coefficients.
    fn spectrum_to_measurement(&self, y: &ArrayRef2<f32>) -> Result<Array4<f32>, OperatorError> {
        let count = self.measurement_shape().iter().product();
        check_coefficients(self.name(), "the measurement's coefficients", y, count)?;
        Ok(self.spectrum_to_measurement_unchecked(y))
    }
}

/// `[B, C, H, W]` as `[B, C H W]`, in reading order.
pub(crate) fn flatten(batch: &ArrayRef4<f32>) -> Array2<f32> {
    let (images, channels, height, width) = batch.dim();
    let mut flat = Array2::zeros((images, channels * height * width));
    flat.iter_mut().zip(batch).for_each(|(to, from)| *to = *from);
    flat
}

/// The inverse of [`flatten`].
pub(crate) fn unflatten(flat: &ArrayRef2<f32>, [channels, height, width]: [usize; 3]) -> Array4<f32> {
    let mut batch = Array4::zeros((flat.nrows(), channels, height, width));
    batch.iter_mut().zip(flat).for_each(|(to, from)| *to = *from);
    batch
}
