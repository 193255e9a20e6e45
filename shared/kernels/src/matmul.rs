//! A safe face on the `gemm-f32` crate: products of small strided matrices.

use crate::check_len;

/// A matrix view of a slice: element (r, c) is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills `data`.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        check_len("matrix", rows * cols, data.len());
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The same values, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// What becomes of the values that are in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// They are overwritten.
    Overwrite,
    /// The product is added to them.
    Add,
}

/// `c = factor * a b`, or `c += factor * a b`, as `output` says; `c` is row-major. One thread.
pub(crate) fn multiply(factor: f32, a: Matrix<'_>, b: Matrix<'_>, output: Output, c: &mut [f32]) {
    assert!(
        a.cols == b.rows,
        "matrix product: inner sizes {} and {}",
        a.cols,
        b.rows
    );
    check_len("matrix product", a.rows * b.cols, c.len());
    if c.is_empty() {
        return;
    }
    // `c` is row-major, and the crate's kernels like columns: they make `c^T = factor * b^T a^T`.
    //
    // SAFETY: `Matrix::new` checked that both inputs fill their slices and `transposed` only
    // exchanges the axes, so every (row, column) within the sizes lies inside the slice; `c` was
    // checked above and is not aliased (&mut).
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            b.cols,
            a.rows,
            a.cols,
            c.as_mut_ptr(),
            b.cols as isize,
            1,
            output == Output::Add,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.col_stride as isize,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.col_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, rng, values};

    fn transpose(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..cols)
            .flat_map(|c| (0..rows).map(move |r| values[r * cols + c]))
            .collect()
    }

    /// Sizes that fill no register tile, and every kind of thin matrix: one row, one column, an inner size of one.
    #[test]
    fn products_of_all_orders_match_the_definition() {
        let sizes = [
            (1, 1, 1),
            (7, 5, 1),
            (1, 5, 7),
            (1, 9, 1),
            (6, 1, 4),
            (33, 17, 1),
            (19, 40, 23),
            (64, 48, 96),
        ];
        for (seed, (rows, inner, cols)) in (0..).zip(sizes) {
            let rng = &mut rng(seed);
            let (a, b) = (values(rng, rows * inner), values(rng, inner * cols));
            let before = values(rng, rows * cols);
            let (a_turned, b_turned) = (transpose(&a, rows, inner), transpose(&b, inner, cols));
            let product: Vec<f64> = (0..rows * cols)
                .map(|i| {
                    (0..inner)
                        .map(|k| f64::from(a[i / cols * inner + k]) * f64::from(b[k * cols + i % cols]))
                        .sum()
                })
                .collect();
            let added: Vec<f64> = before
                .iter()
                .zip(&product)
                .map(|(before, p)| f64::from(*before) - 0.5 * p)
                .collect();
            let as_they_are = (Matrix::new(&a, rows, inner), Matrix::new(&b, inner, cols));
            let turned = (
                Matrix::new(&a_turned, inner, rows).transposed(),
                Matrix::new(&b_turned, cols, inner).transposed(),
            );
            for (what, a, b) in [
                ("a b", as_they_are.0, as_they_are.1),
                ("a^T b", turned.0, as_they_are.1),
                ("a b^T", as_they_are.0, turned.1),
                ("a^T b^T", turned.0, turned.1),
            ] {
                let what = format!("{what} of {rows}x{inner} and {inner}x{cols}");
                let mut c = vec![f32::NAN; rows * cols];
                multiply(1.0, a, b, Output::Overwrite, &mut c);
                // Rounding: at most `inner` sums of products below 1, each to 2^-24 of the sum so far.
                assert_close(&what, &c, &product, 1e-5);
                let mut c = before.clone();
                multiply(-0.5, a, b, Output::Add, &mut c);
                assert_close(&what, &c, &added, 1e-5);
            }
        }
    }
}
