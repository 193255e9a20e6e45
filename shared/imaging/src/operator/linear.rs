//! What only a linear operator can do: solve least-squares problems.

use ndarray::{Array4, ArrayRef4, Zip};

use super::check::{check_images, check_measurement, check_not_negative, check_positive, check_same_number};
use super::error::OperatorError;
use super::forward::ForwardOperator;
use super::spectral::SpectralOperator;
use crate::solve::{Stop, conjugate_gradients, each_image, largest_eigenvalue, least_squares};

/// A [`ForwardOperator`] with `A(x) = A x`, a matrix of as many rows as a measurement has numbers.
///
/// All functions take batches and treat each image by itself. By default the systems of equations are solved by
/// conjugate gradients; operators with a closed form use that.
pub trait LinearOperator: ForwardOperator {
    /// `c`, where `A A^T = c I`: the rows are orthogonal and of one squared length. Then the pseudo-inverse, the norm
    /// and the solutions below have closed forms.
    fn orthogonal_rows(&self) -> Option<f64> {
        None
    }

    /// [`Self::adjoint`] of a batch that is known to be right.
    fn adjoint_unchecked(&self, v: &ArrayRef4<f32>) -> Array4<f32> {
        let [channels, height, width] = self.image_shape();
        // The image that the derivative is taken at does not matter.
        self.vjp_unchecked(&Array4::zeros((v.shape()[0], channels, height, width)), v)
    }

    /// [`Self::pseudo_inverse`] of a batch that is known to be right.
    fn pseudo_inverse_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        match self.orthogonal_rows() {
            Some(c) => self.adjoint_unchecked(b) / c as f32,
            None => each_image(b, self.image_shape(), |b| {
                least_squares(
                    |x| self.apply_unchecked(x),
                    |v| self.adjoint_unchecked(v),
                    b,
                    Stop::PSEUDO_INVERSE,
                )
            }),
        }
    }

    /// [`Self::solve_gram`] of arguments that are known to be right.
    fn solve_gram_unchecked(&self, v: &ArrayRef4<f32>, sigma2: f64, r2: f64) -> Array4<f32> {
        if let Some(c) = self.orthogonal_rows() {
            return v.map(|&v| (f64::from(v) / (r2 * c + sigma2)) as f32);
        }
        let gram = |v: &ArrayRef4<f32>| {
            let stretched = self.apply_unchecked(&self.adjoint_unchecked(v));
            Zip::from(&stretched)
                .and(v)
                .map_collect(|&aatv, &v| (r2 * f64::from(aatv) + sigma2 * f64::from(v)) as f32)
        };
        each_image(v, self.measurement_shape(), |v| {
            // Without noise the matrix may be singular, and `v` beyond its reach.
            if sigma2 == 0.0 {
                least_squares(gram, gram, v, Stop::PSEUDO_INVERSE)
            } else {
                conjugate_gradients(gram, v, Stop::GRAM)
            }
        })
    }

    /// [`Self::prox`] of arguments that are known to be right.
    fn prox_unchecked(&self, x: &ArrayRef4<f32>, b: &ArrayRef4<f32>, rho: f64) -> Array4<f32> {
        let unexplained = b - self.apply_unchecked(x);
        x + self.adjoint_unchecked(&self.solve_gram_unchecked(&unexplained, rho, 1.0))
    }

    /// The most by which it stretches an image, `max ||A x|| / ||x||`: its largest singular value.
    ///
    /// Where no closed form is known it comes from 100 rounds of power iteration, which approach it from below.
    fn norm(&self) -> f64 {
        if self.measurement_shape().contains(&0) {
            return 0.0;
        }
        if let Some(c) = self.orthogonal_rows() {
            return c.sqrt();
        }
        let squared = largest_eigenvalue(self.image_shape(), |x| self.adjoint_unchecked(&self.apply_unchecked(x)));
        squared.sqrt()
    }

    /// Itself, if its singular value decomposition is known.
    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        None
    }

    /// `A^T v`, `[B, C, H, W]`; what [`ForwardOperator::vjp`] gives for any image.
    ///
    /// - `v`: `[B, ...measurement_shape()]`
    ///
    /// # Errors
    ///
    /// If the shape is wrong, or on a NaN or an infinity.
    fn adjoint(&self, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, v)?;
        Ok(self.adjoint_unchecked(v))
    }

    /// `A^+ b`, the least-squares solution of least norm: what maximum likelihood gives under Gaussian noise.
    ///
    /// Where no closed form is known, conjugate gradients on the normal equations run from 0 until `||A^T (b - A x)||`
    /// is 1e-6 of `||A^T b||`, for 100 rounds at most: directions that the operator all but ignores are then left near
    /// 0, which also keeps noise from growing without bounds (Hestenes and Stiefel 1952, section 10: "CGLS"). Of `b = A
    /// x` then at most `||A|| ||x|| / 201` stays unexplained.
    ///
    /// - `b`: `[B, ...measurement_shape()]`
    /// - returns `[B, C, H, W]`
    ///
    /// # Errors
    ///
    /// As [`Self::adjoint`].
    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.pseudo_inverse_unchecked(b))
    }

    /// `(r2 A A^T + sigma2 I)^{-1} v`: weights a residual by what noise and uncertainty together leave of it.
    ///
    /// With `x ~ N(x0_hat, r2 I)` and noise `N(0, sigma2 I)` the matrix is the covariance of `b - A x0_hat`, so that
    /// `A^T solve_gram(b - A x0_hat)` is the likelihood's score in pseudo-inverse guidance (Song et al.,
    /// "Pseudoinverse-guided diffusion models for inverse problems", ICLR 2023, equation 7). With `sigma2 = 0` it is
    /// the pseudo-inverse of `r2 A A^T`.
    ///
    /// Where no closed form is known, conjugate gradients run until the residual is 1e-6 of `||v||`, for 500 rounds at
    /// most. With `sigma2 = 0` they run on the least-squares problem, which has an answer for any `v`, for 100 rounds
    /// at most.
    ///
    /// - `v`: `[B, ...measurement_shape()]`
    /// - `sigma2`: the variance of the measurement noise on the scale of [-1, 1] pixels, 0 or more
    /// - `r2`: the variance of a pixel of the image, on the same scale, 0 or more; not both 0
    /// - returns an array of the shape of `v`
    ///
    /// # Errors
    ///
    /// As [`Self::adjoint`], or variances out of range.
    fn solve_gram(&self, v: &ArrayRef4<f32>, sigma2: f64, r2: f64) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, v)?;
        check_not_negative(self.name(), "sigma2", sigma2)?;
        check_not_negative(self.name(), "r2", r2)?;
        check_positive(self.name(), "sigma2 + r2", sigma2 + r2)?;
        Ok(self.solve_gram_unchecked(v, sigma2, r2))
    }

    /// The proximal map of the data term, `argmin_z 1/2 ||A z - b||^2 + rho/2 ||z - x||^2`.
    ///
    /// That is `(A^T A + rho I)^{-1} (A^T b + rho x) = x + A^T (A A^T + rho I)^{-1} (b - A x)`, computed in the second
    /// form with [`Self::solve_gram`]. For noise of variance `sigma2` and an image known to be `x` up to a variance
    /// `r2` in each pixel, it is the most likely image if `rho = sigma2 / r2`. Method PnP-ADMM (Venkatakrishnan et al.
    /// 2013) and DiffPIR (Zhu et al. 2023, equation 13) alternate it with a denoiser.
    ///
    /// - `x`: images, `[B, C, H, W]`
    /// - `b`: measurements, `[B, ...measurement_shape()]`
    /// - `rho`: above 0
    /// - returns `[B, C, H, W]`
    ///
    /// # Errors
    ///
    /// If a shape is wrong or the two batches differ in size, on a NaN or an infinity, or a `rho` out of range.
    fn prox(&self, x: &ArrayRef4<f32>, b: &ArrayRef4<f32>, rho: f64) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        check_measurement(self, b)?;
        check_same_number(self, x, b)?;
        check_positive(self.name(), "rho", rho)?;
        Ok(self.prox_unchecked(x, b, rho))
    }
}
