//! Samples against the distribution they should come from.

use std::fmt::Write;

use ndarray::{Array1, Array2, Array4, Axis};

/// The mean and covariance of a batch of images, each flattened to `C * H * W` numbers, with their standard errors.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The number of images.
    pub count: usize,
    /// The sample mean.
    pub mean: Array1<f64>,
    /// The sample covariance.
    pub covariance: Array2<f64>,
    /// The standard error of each entry of the mean.
    pub mean_error: Array1<f64>,
    /// The standard error of each entry of the covariance, from the spread of the products themselves, so that it holds
    /// for any distribution.
    pub covariance_error: Array2<f64>,
}

impl Moments {
    /// The moments of a batch `[B, C, H, W]`.
    ///
    /// # Panics
    ///
    /// If there are fewer than two images.
    #[must_use]
    pub fn of(batch: &Array4<f32>) -> Self {
        let (n, c, h, w) = batch.dim();
        assert!(n > 1, "moments need at least two images, got {n}");
        let values = batch.iter().map(|v| f64::from(*v)).collect();
        let rows = Array2::from_shape_vec((n, c * h * w), values).expect("the sizes agree");
        let count = n as f64;
        let mean = rows.mean_axis(Axis(0)).expect("there are images");
        let centred = &rows - &mean;
        let covariance = centred.t().dot(&centred) / (count - 1.0);
        let squares = centred.mapv(|v| v * v);
        let fourth = squares.t().dot(&squares) / count;
        let mean_error = covariance.diag().mapv(|v| (v / count).sqrt());
        let covariance_error = (fourth - &covariance * &covariance).mapv(|v| (v.max(0.0) / count).sqrt());
        Self {
            count: n,
            mean,
            covariance,
            mean_error,
            covariance_error,
        }
    }
}

/// The distribution that samples should come from, and how far off they may be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The exact mean.
    pub mean: Array1<f64>,
    /// The exact covariance.
    pub covariance: Array2<f64>,
    /// How many standard errors are allowed.
    pub sigmas: f64,
    /// What is allowed on top for each entry of the mean (for the error of a sampler with finite steps).
    pub mean_allowance: f64,
    /// The same for each entry of the covariance.
    pub covariance_allowance: f64,
}

/// Compares the moments of a batch with the expected ones.
///
/// # Panics
///
/// With a diagnosis, if they differ.
#[track_caller]
pub fn expect_moments(what: &str, batch: &Array4<f32>, expected: &Expected) {
    if let Err(message) = check_moments(what, batch, expected) {
        panic!("{message}");
    }
}

/// The diagnosis, if the batch does not have the expected moments.
///
/// # Errors
///
/// The message.
pub fn check_moments(what: &str, batch: &Array4<f32>, expected: &Expected) -> Result<(), String> {
    if batch.iter().any(|v| !v.is_finite()) {
        return Err(format!("{what}: the samples hold NaN or infinity"));
    }
    let got = Moments::of(batch);
    if got.mean.len() != expected.mean.len() {
        return Err(format!(
            "{what}: images have {} values, expected {}",
            got.mean.len(),
            expected.mean.len()
        ));
    }
    let causes = [got.wrong_mean(expected), got.wrong_covariance(expected)].concat();
    if causes.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "{what}: the {} samples do not follow the exact distribution.",
        got.count
    );
    for cause in causes {
        let _ = write!(text, "\n  - {cause}");
    }
    let _ = write!(
        text,
        "\n  (allowed: {} standard errors, plus {} for the mean and {} for the covariance because steps are finite)",
        expected.sigmas, expected.mean_allowance, expected.covariance_allowance
    );
    Err(text)
}

impl Moments {
    /// What is wrong with the mean, in words: its worst value, if it is off by more than it may be.
    fn wrong_mean(&self, expected: &Expected) -> Vec<String> {
        let excess = |i: usize| {
            let off = (self.mean[i] - expected.mean[i]).abs();
            off / (expected.sigmas * self.mean_error[i] + expected.mean_allowance)
        };
        let Some(i) = worst(0..self.mean.len(), excess) else {
            return Vec::new();
        };
        vec![format!(
            "the mean of value {i} is {:.4} ± {:.4}, exactly it is {:.4}",
            self.mean[i], self.mean_error[i], expected.mean[i]
        )]
    }

    /// The same for the covariance; and whether all variances together are too large or too small.
    fn wrong_covariance(&self, expected: &Expected) -> Vec<String> {
        let excess = |index: (usize, usize)| {
            let off = (self.covariance[index] - expected.covariance[index]).abs();
            off / (expected.sigmas * self.covariance_error[index] + expected.covariance_allowance)
        };
        let entries = expected.covariance.indexed_iter().map(|(index, _)| index);
        let Some((i, j)) = worst(entries, excess) else {
            return Vec::new();
        };
        let mut causes = vec![format!(
            "the covariance of values {i} and {j} is {:.4} ± {:.4}, exactly it is {:.4}",
            self.covariance[[i, j]],
            self.covariance_error[[i, j]],
            expected.covariance[[i, j]]
        )];
        let ratio = self.covariance.diag().sum() / expected.covariance.diag().sum();
        if !(0.97..=1.03).contains(&ratio) {
            let word = if ratio > 1.0 { "too large" } else { "too small" };
            causes.push(format!("all variances together are {word}, by a factor of {ratio:.3}"));
        }
        causes
    }
}

/// The first index with the largest excess, if that is above 1.
fn worst<I: Copy>(indices: impl Iterator<Item = I>, excess: impl Fn(I) -> f64) -> Option<I> {
    let mut worst = (1.0, None);
    for index in indices {
        let excess = excess(index);
        if excess > worst.0 {
            worst = (excess, Some(index));
        }
    }
    worst.1
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// All sign combinations of two values: mean 0, unit variances, no correlation.
    fn square(n: usize) -> Array4<f32> {
        Array4::from_shape_fn((n, 1, 1, 2), |(b, _, _, j)| if (b >> j) & 1 == 0 { 1.0 } else { -1.0 })
    }

    fn unit() -> Expected {
        Expected {
            mean: array![0.0, 0.0],
            covariance: Array2::eye(2),
            sigmas: 4.0,
            mean_allowance: 0.0,
            covariance_allowance: 0.01,
        }
    }

    #[test]
    fn moments_of_a_square() {
        let moments = Moments::of(&square(400));
        assert!(moments.mean.iter().all(|m| m.abs() < 1e-12));
        assert!((moments.covariance[[0, 0]] - 400.0 / 399.0).abs() < 1e-12);
        assert!(moments.covariance[[0, 1]].abs() < 1e-12);
        assert!((moments.mean_error[0] - 1.0 / 399f64.sqrt()).abs() < 1e-12);
        assert!((moments.covariance_error[[0, 1]] - 0.05).abs() < 1e-12);
    }

    #[test]
    fn diagnoses() {
        assert_eq!(check_moments("square", &square(400), &unit()), Ok(()));
        let far = check_moments("square", &(square(400) + 0.5), &unit()).unwrap_err();
        assert!(far.contains("the mean of value"), "{far}");
        let wide = check_moments("square", &(square(400) * 1.5), &unit()).unwrap_err();
        assert!(wide.contains("too large, by a factor of 2.2"), "{wide}");
        let narrow = check_moments("square", &(square(400) * 0.5), &unit()).unwrap_err();
        assert!(narrow.contains("too small"), "{narrow}");
        let broken = check_moments("square", &(square(400) * f32::NAN), &unit()).unwrap_err();
        assert!(broken.contains("NaN"), "{broken}");
    }
}
