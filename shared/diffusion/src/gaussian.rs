//! A Gaussian prior, whose score is exact at every time.

use ndarray::{Array1, Array2, Array4, ArrayRef4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

use crate::closed_form::{ClosedFormError, check_parameter, from_rows, to_rows};
use crate::linalg::symmetric_eigen;
use crate::model::{Pullback, ScoreError, ScoreModel, check_same};
use crate::schedule::Schedule;

/// The prior `p_0 = N(mu, Sigma)` on images, flattened to `d = C * H * W` numbers in `[C, H, W]` order.
///
/// The forward process keeps it Gaussian: `p_t = N(sqrt(alpha_bar) mu, alpha_bar Sigma + (1 - alpha_bar) I)`. `Sigma`
/// is decomposed once, so that each time costs two matrix products (none for a diagonal `Sigma`). It may be singular.
///
/// ```
/// use diffusion::{GaussianModel, Schedule, ScoreModel};
/// use ndarray::{Array4, array};
///
/// let model = GaussianModel::new(
///     Schedule::linear(),
///     [1, 1, 2],
///     array![0.5, -0.5],
///     array![[0.2, 0.1], [0.1, 0.3]],
/// )?;
/// let at_the_mode = model.schedule().alpha_bar(300).sqrt() as f32 * 0.5;
/// let x = Array4::from_shape_vec((1, 1, 1, 2), vec![at_the_mode, -at_the_mode])?;
/// assert!(model.score(&x, 300)?.iter().all(|s| s.abs() < 1e-6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GaussianModel {
    schedule: Schedule,
    shape: [usize; 3],
    mean: Array1<f64>,
    /// The eigenvalues of the covariance.
    variances: Array1<f64>,
    /// Its eigenvectors as columns; none if the covariance is diagonal.
    axes: Option<Array2<f64>>,
}

impl GaussianModel {
    /// A Gaussian with a full covariance matrix.
    ///
    /// # Errors
    ///
    /// If sizes do not fit the shape, or the covariance is not symmetric and positive semi-definite.
    pub fn new(
        schedule: Schedule,
        shape: [usize; 3],
        mean: Array1<f64>,
        covariance: Array2<f64>,
    ) -> Result<Self, ClosedFormError> {
        let d = shape.iter().product();
        check_parameter("the mean", &[d], mean.shape(), &mean)?;
        check_parameter("the covariance", &[d, d], covariance.shape(), &covariance)?;
        let largest = covariance.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for ((i, j), v) in covariance.indexed_iter() {
            if (v - covariance[[j, i]]).abs() > 1e-9 * largest {
                return Err(ClosedFormError::NotSymmetric { i, j });
            }
        }
        let (mut variances, axes) = symmetric_eigen(&covariance);
        for v in &mut variances {
            if *v < -1e-9 * largest {
                return Err(ClosedFormError::NegativeVariance { value: *v });
            }
            *v = v.max(0.0);
        }
        Ok(Self {
            schedule,
            shape,
            mean,
            variances,
            axes: Some(axes),
        })
    }

    /// A Gaussian with independent pixels.
    ///
    /// # Errors
    ///
    /// If sizes do not fit the shape, or a variance is negative.
    pub fn diagonal(
        schedule: Schedule,
        shape: [usize; 3],
        mean: Array1<f64>,
        variances: Array1<f64>,
    ) -> Result<Self, ClosedFormError> {
        let d = shape.iter().product();
        check_parameter("the mean", &[d], mean.shape(), &mean)?;
        check_parameter("the variances", &[d], variances.shape(), &variances)?;
        if let Some(value) = variances.iter().copied().find(|v| *v < 0.0) {
            return Err(ClosedFormError::NegativeVariance { value });
        }
        Ok(Self {
            schedule,
            shape,
            mean,
            variances,
            axes: None,
        })
    }

    /// The exact mean of `p_0`.
    #[must_use]
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// The exact covariance of `p_0`.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        self.with_eigenvalues(|v| v)
    }

    /// Exact samples of `p_0`.
    pub fn sample(&self, num_images: usize, rng: &mut impl Rng) -> Array4<f32> {
        let z = Array2::<f64>::random_using((num_images, self.mean.len()), StandardNormal, rng);
        let scaled = z * self.variances.mapv(f64::sqrt);
        let rows = match &self.axes {
            Some(axes) => scaled.dot(&axes.t()),
            None => scaled,
        };
        from_rows(&(rows + &self.mean), self.shape)
    }

    /// `log p_t(x_t)` of each image.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    pub fn log_density(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<Array1<f64>, ScoreError> {
        self.check(x_t, t)?;
        let alpha_bar = self.schedule.alpha_bar(t);
        let variances = self.variances.mapv(|v| alpha_bar * v + 1.0 - alpha_bar);
        let centred = to_rows(x_t) - &self.mean * alpha_bar.sqrt();
        let along_axes = match &self.axes {
            Some(axes) => centred.dot(axes),
            None => centred,
        };
        let log_norm = variances.mapv(|v| (std::f64::consts::TAU * v).ln()).sum();
        let distances = (along_axes.mapv(|v| v * v) / &variances).sum_axis(Axis(1));
        Ok(distances.mapv(|m| -0.5 * (m + log_norm)))
    }

    /// The exact `E[x_0 | x_t]`, by conditioning the joint Gaussian of `(x_0, x_t)`; the score plays no part in it:
    /// `mu + sqrt(alpha_bar) Sigma (alpha_bar Sigma + (1 - alpha_bar) I)^-1 (x_t - sqrt(alpha_bar) mu)`.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    pub fn posterior_mean(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        let a = self.schedule.alpha_bar(t);
        let centred = to_rows(x_t) - &self.mean * a.sqrt();
        let gain = |v: f64| a.sqrt() * v / (a * v + 1.0 - a);
        Ok(from_rows(&(self.apply(&centred, gain) + &self.mean), self.shape))
    }

    /// The exact covariance of `x_0` given `x_t`; it does not depend on `x_t`.
    ///
    /// # Panics
    ///
    /// If `t` is outside `1..=T`.
    #[must_use]
    pub fn posterior_covariance(&self, t: usize) -> Array2<f64> {
        assert!(t > 0, "the posterior of x_0 exists for t in 1..=T, not for t = 0");
        let a = self.schedule.alpha_bar(t);
        self.with_eigenvalues(|v| v * (1.0 - a) / (a * v + 1.0 - a))
    }

    /// The matrix with this model's axes and other eigenvalues.
    fn with_eigenvalues(&self, f: impl Fn(f64) -> f64) -> Array2<f64> {
        let diagonal = self.variances.mapv(f);
        match &self.axes {
            Some(axes) => (axes * &diagonal).dot(&axes.t()),
            None => Array2::from_diag(&diagonal),
        }
    }

    /// Multiplies each row by that matrix.
    fn apply(&self, rows: &Array2<f64>, f: impl Fn(f64) -> f64) -> Array2<f64> {
        let diagonal = self.variances.mapv(f);
        match &self.axes {
            Some(axes) => (rows.dot(axes) * &diagonal).dot(&axes.t()),
            None => rows * &diagonal,
        }
    }
}

impl ScoreModel for GaussianModel {
    fn image_shape(&self) -> [usize; 3] {
        self.shape
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        let a = self.schedule.alpha_bar(t);
        let centred = to_rows(x_t) - &self.mean * a.sqrt();
        Ok(from_rows(
            &self.apply(&centred, |v| -1.0 / (a * v + 1.0 - a)),
            self.shape,
        ))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let score = self.score(x_t, t)?;
        let a = self.schedule.alpha_bar(t);
        let like = score.clone();
        // The score is linear in x_t and its Jacobian symmetric: the pullback applies the same matrix.
        let pullback = move |v: &Array4<f32>| {
            check_same("the cotangent", &like, v)?;
            Ok(from_rows(
                &self.apply(&to_rows(v), |s| -1.0 / (a * s + 1.0 - a)),
                self.shape,
            ))
        };
        Ok((score, Box::new(pullback)))
    }
}
