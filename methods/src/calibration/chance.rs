//! How likely an outcome is by chance: tails of the laws that the tests rest on.

use std::f64::consts::PI;

/// `P(X >= x)` for `X` chi-squared with so many degrees of freedom, 1 or more; 1 for `x <= 0`.
///
/// Exact but for rounding, also far out, by `Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1)` with `y = x / 2` from `a
/// = 1/2` or `a = 1` up to half the degrees of freedom.
#[must_use]
pub fn chi_squared_tail(x: f64, degrees_of_freedom: usize) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let y = x / 2.0;
    let (mut a, mut tail, mut term) = if degrees_of_freedom.is_multiple_of(2) {
        (1.0, (-y).exp(), y * (-y).exp())
    } else {
        (0.5, erfc(y.sqrt()), 2.0 * (y / PI).sqrt() * (-y).exp())
    };
    while a < degrees_of_freedom as f64 / 2.0 {
        tail += term;
        a += 1.0;
        term *= y / a;
    }
    tail.min(1.0)
}

/// `P(|Z| >= |z|)` for a standard normal `Z`.
#[must_use]
pub fn normal_tails(z: f64) -> f64 {
    erfc(z.abs() / 2.0_f64.sqrt())
}

/// What the smallest of so many p-values is worth: its product with their number (Bonferroni), at most 1. Right however
/// they depend on each other.
#[must_use]
pub fn smallest_of(p_values: &[f64]) -> Option<f64> {
    let smallest = p_values.iter().copied().min_by(f64::total_cmp)?;
    Some((smallest * p_values.len() as f64).min(1.0))
}

/// `2 / sqrt(pi)` times the integral of `exp(-s^2)` from `z >= 0` on: a series of positive terms for its complement,
/// or far out a continued fraction (Abramowitz and Stegun 1964, 7.1.6 and 7.1.14).
fn erfc(z: f64) -> f64 {
    if z < 2.0 {
        let (mut sum, mut term, mut n) = (z, z, 1.0);
        while term > 1e-17 * sum {
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        return 1.0 - 2.0 / PI.sqrt() * (-z * z).exp() * sum;
    }
    let fraction = (1..=120).rev().fold(z, |below, k| z + f64::from(k) / 2.0 / below);
    (-z * z).exp() / PI.sqrt() / fraction
}
