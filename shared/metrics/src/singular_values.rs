//! The little linear algebra that the Fréchet distance needs: a few hundred dimensions, and no library for it.

use ndarray::Array2;

/// A diagonal this small beside the largest is rounding: the direction has no spread.
const NOTHING: f64 = 1e-13;
/// More sweeps than any matrix takes.
const SWEEPS: usize = 60;

/// The lower triangle `L` with `L L^T = matrix`, for a symmetric matrix without negative eigenvalues. Directions
/// without spread give columns of zeros.
pub(crate) fn cholesky(matrix: &Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    let floor = NOTHING * matrix.diag().iter().fold(0.0, |most: f64, value| most.max(*value));
    let mut l = Array2::zeros((n, n));
    for column in 0..n {
        let left = |l: &Array2<f64>, row: usize| {
            let before = ndarray::s![row, ..column];
            matrix[[row, column]] - l.slice(before).dot(&l.slice(ndarray::s![column, ..column]))
        };
        let pivot = left(&l, column);
        if pivot <= floor {
            continue;
        }
        let root = pivot.sqrt();
        l[[column, column]] = root;
        for row in column + 1..n {
            l[[row, column]] = left(&l, row) / root;
        }
    }
    l
}

/// The singular values of a matrix, in no order: its columns are turned in pairs until all stand at right angles, and
/// what is left of their lengths are the singular values (Hestenes 1958).
pub(crate) fn singular_values(matrix: Array2<f64>) -> Vec<f64> {
    // A row is contiguous in memory, and a matrix has the singular values of its transpose.
    let mut rows: Vec<Vec<f64>> = matrix.rows().into_iter().map(|row| row.to_vec()).collect();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..rows.len() {
            let (before, after) = rows.split_at_mut(p + 1);
            for other in after {
                turned |= turn(&mut before[p], other);
            }
        }
        if !turned {
            break;
        }
    }
    rows.iter().map(|row| dot(row, row).sqrt()).collect()
}

/// Turns two vectors in their plane so that they stand at right angles; false if they do already.
fn turn(a: &mut [f64], b: &mut [f64]) -> bool {
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    if ab == 0.0 || ab.abs() <= 1e-14 * (aa * bb).sqrt() {
        return false;
    }
    // The smaller of the two angles: its tangent solves t^2 + 2 zeta t - 1 = 0.
    let zeta = (bb - aa) / (2.0 * ab);
    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / t.hypot(1.0);
    let sine = cosine * t;
    for (x, y) in a.iter_mut().zip(b) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
    true
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
