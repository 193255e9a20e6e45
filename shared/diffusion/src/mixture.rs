//! A mixture-of-Gaussians prior, whose score is exact at every time: the smallest prior with several modes.

use ndarray::{Array1, Array2, Array4, ArrayRef4, ArrayView1, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

use crate::closed_form::{ClosedFormError, check_parameter, from_rows, to_rows};
use crate::linalg::log_sum_exp;
use crate::model::{Pullback, ScoreError, ScoreModel, check_same};
use crate::schedule::Schedule;

/// The prior `p_0 = sum_k w_k N(mu_k, diag(v_k))` on images, flattened to `d = C * H * W` numbers in `[C, H, W]` order.
///
/// The forward process keeps it a mixture: `p_t = sum_k w_k N(sqrt(alpha_bar) mu_k, alpha_bar v_k + 1 - alpha_bar)`.
/// Responsibilities are computed from log-densities, so that images far from every mode are no trouble.
#[derive(Clone, Debug)]
pub struct GaussianMixtureModel {
    schedule: Schedule,
    shape: [usize; 3],
    /// They sum to 1.
    weights: Array1<f64>,
    /// One row per component.
    means: Array2<f64>,
    /// One row per component.
    variances: Array2<f64>,
}

/// What there is to know about one image under the mixture at one time.
struct AtPoint {
    log_density: f64,
    /// The probability of each component given the image.
    responsibilities: Array1<f64>,
    /// The score of each component alone, a row each.
    scores: Array2<f64>,
    /// The score of the mixture.
    score: Array1<f64>,
}

impl GaussianMixtureModel {
    /// A mixture whose component `k` has the weight `weights[k]` (they are scaled to sum to 1), and mean and variances
    /// in row `k` of `means` and `variances`.
    ///
    /// # Errors
    ///
    /// If there is no component, sizes do not fit, a weight is not positive or a variance negative.
    pub fn new(
        schedule: Schedule,
        shape: [usize; 3],
        weights: Array1<f64>,
        means: Array2<f64>,
        variances: Array2<f64>,
    ) -> Result<Self, ClosedFormError> {
        let d = shape.iter().product();
        let k = weights.len();
        if k == 0 {
            return Err(ClosedFormError::NoComponents);
        }
        check_parameter("the weights", &[k], weights.shape(), &weights)?;
        check_parameter("the means", &[k, d], means.shape(), &means)?;
        check_parameter("the variances", &[k, d], variances.shape(), &variances)?;
        if let Some(value) = weights.iter().copied().find(|w| *w <= 0.0) {
            return Err(ClosedFormError::Weight { value });
        }
        if let Some(value) = variances.iter().copied().find(|v| *v < 0.0) {
            return Err(ClosedFormError::NegativeVariance { value });
        }
        let weights = &weights / weights.sum();
        Ok(Self {
            schedule,
            shape,
            weights,
            means,
            variances,
        })
    }

    /// A mixture of round components: component `k` has the variance `variances[k]` in all directions.
    ///
    /// # Errors
    ///
    /// As for [`GaussianMixtureModel::new`].
    pub fn isotropic(
        schedule: Schedule,
        shape: [usize; 3],
        weights: Array1<f64>,
        means: Array2<f64>,
        variances: Array1<f64>,
    ) -> Result<Self, ClosedFormError> {
        check_parameter("the variances", &[weights.len()], variances.shape(), &variances)?;
        let d = shape.iter().product();
        let variances = Array2::from_shape_fn((variances.len(), d), |(k, _)| variances[k]);
        Self::new(schedule, shape, weights, means, variances)
    }

    /// The weights of the components; they sum to 1.
    #[must_use]
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// The means of the components, a row each.
    #[must_use]
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// The variances of the components, a row each.
    #[must_use]
    pub fn variances(&self) -> &Array2<f64> {
        &self.variances
    }

    /// The exact mean of `p_0`.
    #[must_use]
    pub fn mean(&self) -> Array1<f64> {
        self.weights.dot(&self.means)
    }

    /// The exact covariance of `p_0`: that within the components, and that between their means.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let between = &self.means - &self.mean();
        Array2::from_diag(&self.weights.dot(&self.variances))
            + (&between * &self.weights.view().insert_axis(Axis(1))).t().dot(&between)
    }

    /// Exact samples of `p_0`.
    pub fn sample(&self, num_images: usize, rng: &mut impl Rng) -> Array4<f32> {
        let mut rows = Array2::<f64>::random_using((num_images, self.means.ncols()), StandardNormal, rng);
        for mut row in rows.rows_mut() {
            let mut left: f64 = rng.random();
            let mut k = 0;
            while k + 1 < self.weights.len() && left >= self.weights[k] {
                left -= self.weights[k];
                k += 1;
            }
            row *= &self.variances.row(k).mapv(f64::sqrt);
            row += &self.means.row(k);
        }
        from_rows(&rows, self.shape)
    }

    /// `log p_t(x_t)` of each image.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    pub fn log_density(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<Array1<f64>, ScoreError> {
        self.check(x_t, t)?;
        Ok(to_rows(x_t)
            .rows()
            .into_iter()
            .map(|x| self.at(x, t).log_density)
            .collect())
    }

    /// The probability of each component (columns) given each image (rows) at time `t`.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    pub fn responsibilities(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<Array2<f64>, ScoreError> {
        self.check(x_t, t)?;
        let rows = to_rows(x_t);
        let mut out = Array2::zeros((rows.nrows(), self.weights.len()));
        for (x, mut o) in rows.rows().into_iter().zip(out.rows_mut()) {
            o.assign(&self.at(x, t).responsibilities);
        }
        Ok(out)
    }

    /// The exact `E[x_0 | x_t]`: the conditional means of the components, weighted by their responsibilities. The score
    /// plays no part in it.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    pub fn posterior_mean(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        let mut rows = to_rows(x_t);
        for mut row in rows.rows_mut() {
            let (responsibilities, means) = self.conditional(row.view(), t);
            row.assign(&responsibilities.dot(&means));
        }
        Ok(from_rows(&rows, self.shape))
    }

    /// The exact covariance of `x_0` given one noisy image, the one at `index` of the batch.
    ///
    /// # Errors
    ///
    /// If the shape or the time does not fit.
    ///
    /// # Panics
    ///
    /// If the batch has no image `index`.
    pub fn posterior_covariance(
        &self,
        x_t: &ArrayRef4<f32>,
        index: usize,
        t: usize,
    ) -> Result<Array2<f64>, ScoreError> {
        self.check(x_t, t)?;
        let rows = to_rows(x_t);
        let (r, means) = self.conditional(rows.row(index), t);
        let a = self.schedule.alpha_bar(t);
        let within = r.dot(&self.variances.mapv(|v| v * (1.0 - a) / (a * v + 1.0 - a)));
        let between = &means - &r.dot(&means);
        Ok(Array2::from_diag(&within) + (&between * &r.insert_axis(Axis(1))).t().dot(&between))
    }

    /// The responsibilities, and each component's own `E[x_0 | x_t]` as a row.
    fn conditional(&self, x: ArrayView1<'_, f64>, t: usize) -> (Array1<f64>, Array2<f64>) {
        let a = self.schedule.alpha_bar(t);
        let gains = self.variances.mapv(|v| a.sqrt() * v / (a * v + 1.0 - a));
        let centred = &x - &(&self.means * a.sqrt());
        (self.at(x, t).responsibilities, &self.means + &(gains * centred))
    }

    fn at(&self, x: ArrayView1<'_, f64>, t: usize) -> AtPoint {
        let a = self.schedule.alpha_bar(t);
        let variances = self.variances.mapv(|v| a * v + 1.0 - a);
        let centred = &x - &(&self.means * a.sqrt());
        let scores = -(&centred / &variances);
        let log_joint: Vec<f64> = (0..self.weights.len())
            .map(|k| {
                let terms = variances
                    .row(k)
                    .iter()
                    .zip(centred.row(k))
                    .map(|(v, c)| c * c / v + v.ln())
                    .sum::<f64>();
                let log_tau = std::f64::consts::TAU.ln() * x.len() as f64;
                self.weights[k].ln() - 0.5 * (terms + log_tau)
            })
            .collect();
        let log_density = log_sum_exp(&log_joint);
        let responsibilities: Array1<f64> = log_joint.iter().map(|l| (l - log_density).exp()).collect();
        let score = responsibilities.dot(&scores);
        AtPoint {
            log_density,
            responsibilities,
            scores,
            score,
        }
    }

    /// `-(1 / variances)` of each component at time `t`: the Jacobian of its score.
    fn jacobians(&self, t: usize) -> Array2<f64> {
        let a = self.schedule.alpha_bar(t);
        self.variances.mapv(|v| -1.0 / (a * v + 1.0 - a))
    }
}

impl ScoreModel for GaussianMixtureModel {
    fn image_shape(&self) -> [usize; 3] {
        self.shape
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        let mut rows = to_rows(x_t);
        for mut row in rows.rows_mut() {
            let score = self.at(row.view(), t).score;
            row.assign(&score);
        }
        Ok(from_rows(&rows, self.shape))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.check(x_t, t)?;
        let points: Vec<AtPoint> = to_rows(x_t).rows().into_iter().map(|x| self.at(x, t)).collect();
        let mut rows = Array2::zeros((points.len(), self.means.ncols()));
        for (point, mut row) in points.iter().zip(rows.rows_mut()) {
            row.assign(&point.score);
        }
        let score = from_rows(&rows, self.shape);
        let like = score.clone();
        let pullback = move |v: &Array4<f32>| {
            check_same("the cotangent", &like, v)?;
            let jacobians = self.jacobians(t);
            let mut rows = to_rows(v);
            for (point, mut row) in points.iter().zip(rows.rows_mut()) {
                // J = sum_k r_k [J_k + (s_k - s)(s_k - s)^T], symmetric. With differences, nothing large cancels.
                let spread = &point.scores - &point.score;
                let along = spread.dot(&row) * &point.responsibilities;
                let product = point.responsibilities.dot(&jacobians) * &row + along.dot(&spread);
                row.assign(&product);
            }
            Ok(from_rows(&rows, self.shape))
        };
        Ok((score, Box::new(pullback)))
    }
}
