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

/// `c = factor * a b`, or `c += factor * a b` when `accumulate`; `c` is row-major. One thread.
pub(crate) fn multiply(factor: f32, a: Matrix, b: Matrix, accumulate: bool, c: &mut [f32]) {
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
            accumulate,
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
