//! The little linear algebra that the closed-form models need.

use ndarray::{Array1, Array2};

/// Eigenvalues and eigenvectors (as columns) of a symmetric matrix, by cyclic Jacobi rotations.
///
/// Slow beside a tuned library, but short, accurate to rounding, and fast enough for a few hundred dimensions.
pub(crate) fn symmetric_eigen(matrix: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let mut a = matrix.clone();
    let mut vectors = Array2::<f64>::eye(n);
    let total: f64 = a.iter().map(|v| v * v).sum();
    for _sweep in 0..60 {
        let mut off = 0.0;
        for i in 0..n {
            for j in 0..i {
                off += 2.0 * a[[i, j]] * a[[i, j]];
            }
        }
        if off <= 1e-30 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    (a.diag().to_owned(), vectors)
}

/// The rotation of the plane (p, q) that makes `a[p, q]` zero.
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let apq = a[[p, q]];
    if apq == 0.0 {
        return;
    }
    // Of the two angles, the one below 45 degrees: tan from the quadratic t^2 + 2 theta t - 1 = 0.
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let n = a.nrows();
    for k in 0..n {
        let (x, y) = (a[[k, p]], a[[k, q]]);
        a[[k, p]] = c * x - s * y;
        a[[k, q]] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (a[[p, k]], a[[q, k]]);
        a[[p, k]] = c * x - s * y;
        a[[q, k]] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (vectors[[k, p]], vectors[[k, q]]);
        vectors[[k, p]] = c * x - s * y;
        vectors[[k, q]] = s * x + c * y;
    }
}

/// `log(sum(exp(values)))` without overflow.
pub(crate) fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + values.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn eigen_decomposition_rebuilds_the_matrix() {
        for n in [1, 2, 3, 7, 40] {
            let matrix = Array2::from_shape_fn((n, n), |(i, j)| {
                let (i, j) = (i.min(j) as f64, i.max(j) as f64);
                (1.3 * i - 0.7 * j).sin() + if i == j { 2.0 } else { 0.0 }
            });
            let (values, vectors) = symmetric_eigen(&matrix);
            let rebuilt = vectors.dot(&Array2::from_diag(&values)).dot(&vectors.t());
            let orthogonal = vectors.t().dot(&vectors);
            for i in 0..n {
                for j in 0..n {
                    assert!((rebuilt[[i, j]] - matrix[[i, j]]).abs() < 1e-11, "n = {n}");
                    let identity = if i == j { 1.0 } else { 0.0 };
                    assert!((orthogonal[[i, j]] - identity).abs() < 1e-12, "n = {n}");
                }
            }
        }
    }

    #[test]
    fn eigen_values_of_equal_and_zero_entries() {
        let (values, _) = symmetric_eigen(&array![[1.0, 1.0], [1.0, 1.0]]);
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        assert!(values[0].abs() < 1e-15 && (values[1] - 2.0).abs() < 1e-15);
        let (values, _) = symmetric_eigen(&Array2::zeros((3, 3)));
        assert_eq!(values.to_vec(), [0.0; 3]);
    }

    #[test]
    fn log_sum_exp_of_extremes() {
        assert_eq!(log_sum_exp(&[-1e6, -1e6]), -1e6 + 2f64.ln());
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[1e6, 0.0]), 1e6);
    }
}
