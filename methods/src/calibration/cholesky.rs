//! The Cholesky factor of a small matrix, and what it solves.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

/// `L` of `M = L L^T`, lower triangular, for a symmetric positive definite `M`.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky(pub(crate) Array2<f64>);

impl Cholesky {
    /// None for a matrix that is not positive definite.
    pub(crate) fn new(matrix: &ArrayRef2<f64>) -> Option<Self> {
        let n = matrix.nrows();
        let mut l = Array2::<f64>::zeros((n, n));
        for i in 0..n {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum();
                let left = matrix[[i, j]] - known;
                if i != j {
                    l[[i, j]] = left / l[[j, j]];
                } else if left > 0.0 {
                    l[[i, i]] = left.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Self(l))
    }

    /// `L^-1 v`.
    pub(crate) fn forwards(&self, v: &ArrayRef1<f64>) -> Array1<f64> {
        let mut x = v.to_owned();
        for i in 0..x.len() {
            let known: f64 = (0..i).map(|k| self.0[[i, k]] * x[k]).sum();
            x[i] = (x[i] - known) / self.0[[i, i]];
        }
        x
    }

    /// `L^-1 V`, column by column.
    pub(crate) fn forwards_all(&self, v: &ArrayRef2<f64>) -> Array2<f64> {
        let mut x = v.to_owned();
        for mut column in x.columns_mut() {
            let solved = self.forwards(&column);
            column.assign(&solved);
        }
        x
    }

    /// `log det M`.
    pub(crate) fn log_determinant(&self) -> f64 {
        2.0 * self.0.diag().mapv(f64::ln).sum()
    }
}
