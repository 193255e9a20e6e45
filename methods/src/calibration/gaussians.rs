//! A mixture of Gaussians, and what a linear measurement makes of it: another one, in closed form.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

use crate::calibration::cholesky::Cholesky;

/// `sum_k w_k N(m_k, C_k)` in `d` dimensions, each `C_k` positive definite.
#[derive(Clone, Debug)]
pub struct Gaussians {
    components: Vec<Component>,
}

/// A mean, a covariance with its factor, and the component's share of the whole.
#[derive(Clone, Debug)]
struct Component {
    weight: f64,
    mean: Array1<f64>,
    covariance: Array2<f64>,
    factor: Cholesky,
}

impl Component {
    fn new(weight: f64, mean: Array1<f64>, covariance: Array2<f64>) -> Self {
        let factor = Cholesky::new(&covariance).expect("a covariance is positive definite");
        Self {
            weight,
            mean,
            covariance,
            factor,
        }
    }

    /// This component given `b = A x + sigma n`, with `w_k N(b; A m_k, S)` up to a common factor as the logarithm of
    /// its weight, where `S = A C A^T + sigma^2 I` and
    ///
    /// ```text
    /// m' = m + C A^T S^-1 (b - A m)
    /// C' = C - C A^T S^-1 A C
    /// ```
    fn conditioned(&self, a: &ArrayRef2<f64>, b: &ArrayRef1<f64>, sigma: f64) -> (f64, Self) {
        let to_measured = a.dot(&self.covariance);
        let of_b = to_measured.dot(&a.t()) + Array2::<f64>::eye(b.len()) * sigma.powi(2);
        let factor = Cholesky::new(&of_b).expect("there is noise in the measurement");
        // L^-1 A C and L^-1 (b - A m), with S = L L^T.
        let explained = factor.forwards_all(&to_measured);
        let surprise = factor.forwards(&(b - a.dot(&self.mean)));
        let log_weight = self.weight.ln() - 0.5 * (surprise.dot(&surprise) + factor.log_determinant());
        let mean = &self.mean + &explained.t().dot(&surprise);
        let covariance = &self.covariance - &explained.t().dot(&explained);
        (log_weight, Self::new(1.0, mean, covariance))
    }
}

impl Gaussians {
    /// From weight, mean `[d]` and covariance `[d, d]` of each component; the weights are scaled to sum to 1.
    ///
    /// # Panics
    ///
    /// If a covariance is not positive definite.
    #[must_use]
    pub fn new(components: Vec<(f64, Array1<f64>, Array2<f64>)>) -> Self {
        let of_one = |(weight, mean, covariance)| Component::new(weight, mean, covariance);
        Self::normalised(components.into_iter().map(of_one).collect())
    }

    fn normalised(mut components: Vec<Component>) -> Self {
        let sum: f64 = components.iter().map(|component| component.weight).sum();
        components.iter_mut().for_each(|component| component.weight /= sum);
        Self { components }
    }

    /// The distribution of `x` given `b = A x + sigma n`, with standard normal `n`.
    ///
    /// - `a`: `[M, d]`
    /// - `b`: `[M]`
    /// - `sigma`: above 0
    #[must_use]
    pub fn given(&self, a: &ArrayRef2<f64>, b: &ArrayRef1<f64>, sigma: f64) -> Self {
        let conditioned = self
            .components
            .iter()
            .map(|component| component.conditioned(a, b, sigma));
        let (log_weights, mut components): (Vec<f64>, Vec<Component>) = conditioned.unzip();
        let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (component, log_weight) in components.iter_mut().zip(log_weights) {
            component.weight = (log_weight - largest).exp();
        }
        Self::normalised(components)
    }

    /// The mean, `[d]`.
    #[must_use]
    pub fn mean(&self) -> Array1<f64> {
        let weighed = self
            .components
            .iter()
            .map(|component| &component.mean * component.weight);
        weighed.reduce(|sum, mean| sum + mean).unwrap_or_default()
    }

    /// The variance of each number, `[d]`: that within the components, and that between them.
    #[must_use]
    pub fn variances(&self) -> Array1<f64> {
        let mean = self.mean();
        let of_one = |component: &Component| {
            let between = (&component.mean - &mean).mapv(|x| x * x);
            (&component.covariance.diag() + &between) * component.weight
        };
        self.components
            .iter()
            .map(of_one)
            .reduce(|sum, one| sum + one)
            .unwrap_or_default()
    }

    /// Independent draws, a row each, `[count, d]`.
    pub fn sample(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        let dimension = self.components.first().map_or(0, |component| component.mean.len());
        let mut rows = Array2::<f64>::random_using((count, dimension), StandardNormal, rng);
        for mut row in rows.axis_iter_mut(Axis(0)) {
            let component = self.pick(rng.random());
            let drawn = component.factor.0.dot(&row) + &component.mean;
            row.assign(&drawn);
        }
        rows
    }

    /// The component at this share, 0 to 1, of all weights.
    fn pick(&self, mut share: f64) -> &Component {
        let last = self.components.len() - 1;
        for component in &self.components[..last] {
            if share < component.weight {
                return component;
            }
            share -= component.weight;
        }
        &self.components[last]
    }
}
