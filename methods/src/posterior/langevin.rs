//! Langevin dynamics for the clean image behind one level of noise: how DAPS samples where no closed form is known.

use imaging::residual;
use ndarray::Array4;
use rand::RngCore;

use crate::Problem;
use crate::error::MethodError;
use crate::parts::normal_like;

/// Unadjusted Langevin steps on `p(x_0 | x0_hat, b) ~ exp(-||x_0 - x0_hat||^2 / (2 r^2) - ||b - A(x_0)||^2 / (2
/// tau^2))` (Zhang et al. 2024):
///
/// ```text
/// x <- x + rate (J_A(x)^T (b - A(x)) / tau^2 - (x - x0_hat) / r^2) + sqrt(2 rate) z
/// ```
///
/// It forgets where it began after some `1 / (rate curvature)` steps, and is stable as long as `rate` times the largest
/// curvature, `||J_A||^2 / tau^2 + 1 / r^2`, stays below 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Langevin {
    pub(crate) steps: usize,
    pub(crate) rate: f64,
    /// The standard deviation of the measurement noise that is reckoned with.
    pub(crate) tau: f64,
    /// How far `x_0` may be from `x0_hat`.
    pub(crate) r: f64,
}

impl Langevin {
    /// A sample of `x_0`, `[B, C, H, W]`; it begins at `x0_hat`.
    pub(crate) fn sample(
        self,
        problem: &Problem<'_>,
        x0_hat: &Array4<f32>,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        let towards_b = (self.rate / self.tau.powi(2)) as f32;
        let towards_x0_hat = (self.rate / self.r.powi(2)) as f32;
        let noise = (2.0 * self.rate).sqrt() as f32;
        let mut x = x0_hat.clone();
        for _ in 0..self.steps {
            let unexplained = residual(problem.operator, problem.b, &x)?;
            let pull = problem.operator.vjp(&x, &unexplained)?;
            let z = normal_like(&x, rng);
            ndarray::par_azip!((x in &mut x, &pull in &pull, &x0 in x0_hat, &z in &z) {
                *x += towards_b * pull - towards_x0_hat * (*x - x0) + noise * z;
            });
        }
        Ok(x)
    }
}
