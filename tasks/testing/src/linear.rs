//! Linear equations in `f64`, for posteriors in closed form. The matrices are small.

use ndarray::{Array2, Axis};

/// `left^-1 right`, by Gauss-Jordan elimination with pivoting.
///
/// - `left`: `[n, n]`, not singular; `right`: `[n, m]`
///
/// # Panics
///
/// If `left` is not square, or the two do not fit.
#[must_use]
pub fn solve(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    let n = left.nrows();
    assert_eq!((left.ncols(), right.nrows()), (n, n), "[n, n] and [n, m] are expected");
    let (mut left, mut right) = (left.clone(), right.clone());
    for i in 0..n {
        let size = |row: &usize| left[[*row, i]].abs();
        let pivot = (i..n).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(i);
        for matrix in [&mut left, &mut right] {
            for j in 0..matrix.ncols() {
                matrix.swap([i, j], [pivot, j]);
            }
        }
        for row in (0..n).filter(|&row| row != i) {
            let factor = left[[row, i]] / left[[i, i]];
            for matrix in [&mut left, &mut right] {
                let of_pivot = matrix.row(i).to_owned();
                matrix.row_mut(row).scaled_add(-factor, &of_pivot);
            }
        }
    }
    let diagonal = left.diag().to_owned();
    right / diagonal.insert_axis(Axis(1))
}

/// The inverse of a matrix that is not singular.
///
/// # Panics
///
/// As [`solve`].
#[must_use]
pub fn inverse(matrix: &Array2<f64>) -> Array2<f64> {
    solve(matrix, &Array2::eye(matrix.nrows()))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        // The first pivot is 0: rows have to be exchanged.
        let matrix = array![[0.0, 2.0, 1.0], [1.0, -1.0, 3.0], [4.0, 0.5, -2.0]];
        let off = matrix.dot(&inverse(&matrix)) - Array2::<f64>::eye(3);
        assert!(off.iter().all(|v| v.abs() < 1e-14), "{off}");
        let right = array![[1.0, 0.0], [2.0, -1.0], [0.0, 5.0]];
        let off = matrix.dot(&solve(&matrix, &right)) - &right;
        assert!(off.iter().all(|v| v.abs() < 1e-14), "{off}");
    }
}
