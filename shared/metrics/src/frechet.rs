//! The Fréchet distance between two sets of images, each taken for a Gaussian cloud of features.

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::error::FrechetError;
use crate::singular_values::{cholesky, singular_values};

/// Mean and covariance of a cloud of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Moments {
    /// Those of `points`, one to a row, `[N, D]`; the covariance is divided by `N - 1`.
    ///
    /// # Errors
    ///
    /// Fewer than two points, and points with a NaN or an infinity.
    pub fn of(points: &ArrayRef2<f64>) -> Result<Self, FrechetError> {
        let found = points.nrows();
        let Some(mean) = points.mean_axis(Axis(0)).filter(|_| found >= 2) else {
            return Err(FrechetError::TooFew { found });
        };
        let centred = points.to_owned() - &mean;
        let covariance = centred.t().dot(&centred) / (found - 1) as f64;
        Self::new(mean, covariance)
    }

    /// A mean `[D]` and a covariance `[D, D]`, symmetric and without negative eigenvalues.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit; a NaN or an infinity.
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self, FrechetError> {
        let expected = mean.len();
        if covariance.dim() != (expected, expected) {
            return Err(FrechetError::Size {
                expected,
                found: covariance.shape().to_vec(),
            });
        }
        if !mean.iter().chain(&covariance).all(|value| value.is_finite()) {
            return Err(FrechetError::NotFinite);
        }
        Ok(Self { mean, covariance })
    }
}

/// The squared Fréchet (Wasserstein-2) distance of the Gaussians with these moments,
/// `|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))`; 0 where they are equal.
///
/// Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions". With features of a network
/// it compares sets of images: Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local
/// Nash equilibrium", Eq. 6 (FID). From finite sets it is too large by an amount that falls with their size: compare
/// numbers from equally many images only.
///
/// The trace of the root is the sum of the singular values of `L_1^T L_2`, where `C = L L^T`: no root has to be taken.
///
/// # Errors
///
/// If the two live in different dimensions.
pub fn frechet_distance(a: &Moments, b: &Moments) -> Result<f64, FrechetError> {
    if a.mean.len() != b.mean.len() {
        return Err(FrechetError::Size {
            expected: a.mean.len(),
            found: b.covariance.shape().to_vec(),
        });
    }
    let between = (&a.mean - &b.mean).mapv(|difference| difference * difference).sum();
    let product = cholesky(&a.covariance).t().dot(&cholesky(&b.covariance));
    let root: f64 = singular_values(product).iter().sum();
    // Rounding may leave a little less than nothing.
    Ok((between + a.covariance.diag().sum() + b.covariance.diag().sum() - 2.0 * root).max(0.0))
}
