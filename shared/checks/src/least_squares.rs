//! Which coefficients of known columns give an array?

/// A fit of one array by columns.
pub(crate) struct Fit {
    /// One for each column.
    pub coefficients: Vec<f64>,
    /// How well each is known, if the columns are exact.
    pub errors: Vec<f64>,
    /// By how much each may change until the result changes by a part in 1 of what is added up.
    pub slack: Vec<f64>,
    /// The largest deviation over the size of what was added up.
    pub misfit: f64,
}

/// Rounding of `f32`, in a sum of a few terms.
const ROUNDING: f64 = 1e-7;

/// Least squares; nothing if the columns are not independent, or there are too few numbers.
pub(crate) fn fit(columns: &[&[f64]], got: &[f64]) -> Option<Fit> {
    let n = columns.len();
    if got.len() < n + 4 && got.len() > 1 || got.is_empty() {
        return None;
    }
    let norms: Vec<f64> = columns.iter().map(|column| dot(column, column).sqrt()).collect();
    if norms.iter().any(|norm| *norm == 0.0 || !norm.is_finite()) {
        return None;
    }
    let gram = |i: usize, j: usize| dot(columns[i], columns[j]) / (norms[i] * norms[j]);
    let mut matrix: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| gram(i, j)).collect()).collect();
    let mut right: Vec<f64> = (0..n).map(|i| dot(columns[i], got) / norms[i]).collect();
    let inverse = invert(&mut matrix)?;
    right = (0..n).map(|i| dot(&inverse[i], &right)).collect();
    let coefficients: Vec<f64> = right.iter().zip(&norms).map(|(c, norm)| c / norm).collect();
    let (mut worst, mut size) = (0.0f64, 0.0f64);
    for (at, value) in got.iter().enumerate() {
        let sum: f64 = coefficients.iter().zip(columns).map(|(c, column)| c * column[at]).sum();
        let parts = coefficients
            .iter()
            .zip(columns)
            .map(|(c, column)| (c * column[at]).abs());
        worst = worst.max((value - sum).abs());
        size = size.max(parts.sum::<f64>().max(value.abs()));
    }
    let largest = |column: &[f64]| column.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let slack = columns.iter().map(|column| size / largest(column)).collect();
    let noise = worst.max(ROUNDING * size);
    let errors = (0..n)
        .map(|i| 3.0 * noise * inverse[i][i].sqrt() / norms[i] + ROUNDING * coefficients[i].abs())
        .collect();
    Some(Fit {
        coefficients,
        errors,
        slack,
        misfit: if size > 0.0 { worst / size } else { 0.0 },
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The inverse of a matrix with ones on its diagonal; nothing if it is singular, or nearly so.
fn invert(matrix: &mut [Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let mut inverse: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|a, b| matrix[*a][i].abs().total_cmp(&matrix[*b][i].abs()))?;
        if matrix[pivot][i].abs() < 1e-9 {
            return None;
        }
        matrix.swap(i, pivot);
        inverse.swap(i, pivot);
        let over = 1.0 / matrix[i][i];
        for row in (0..n).filter(|&row| row != i) {
            let factor = matrix[row][i] * over;
            for j in 0..n {
                let (a, b) = (matrix[i][j], inverse[i][j]);
                matrix[row][j] -= factor * a;
                inverse[row][j] -= factor * b;
            }
        }
        matrix[i].iter_mut().chain(&mut inverse[i]).for_each(|v| *v *= over);
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_come_back() {
        let a: Vec<f64> = (0..20).map(|i| f64::from(i * i % 7) - 3.0).collect();
        let b: Vec<f64> = (0..20).map(|i| f64::from(i * 5 % 11) - 5.0).collect();
        let got: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.25 * a - 3.0 * b).collect();
        let found = fit(&[&a, &b], &got).unwrap();
        assert!((found.coefficients[0] - 0.25).abs() < 1e-12 && (found.coefficients[1] + 3.0).abs() < 1e-12);
        assert!(found.misfit < 1e-14);
        assert!(fit(&[&a, &a], &got).is_none(), "a column twice");
        let bent: Vec<f64> = got.iter().map(|v| v.sin()).collect();
        assert!(fit(&[&a, &b], &bent).unwrap().misfit > 0.1);
    }
}
