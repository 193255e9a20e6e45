//! The two-dimensional Fourier transform of real planes, on top of `rustfft`.

use std::fmt;
use std::sync::Arc;

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};

/// The transforms of real planes of one size, `[height][width]`, in `f64`.
///
/// `Y[k, l] = sum_{y, x} X[y, x] exp(-2 pi i (k y / height + l x / width))`. The plane being real, `Y[-k, -l]` is the
/// conjugate of `Y[k, l]`, so only the columns `l = 0..=width / 2` are kept. They lie one after the other,
/// `[half_width][height]`: each column is then one stretch of memory.
pub(crate) struct Fft2 {
    height: usize,
    width: usize,
    rows: Arc<dyn RealToComplex<f64>>,
    rows_back: Arc<dyn ComplexToReal<f64>>,
    columns: Arc<dyn Fft<f64>>,
    columns_back: Arc<dyn Fft<f64>>,
}

/// The memory that one transform works in; one for each thread.
pub(crate) struct FftScratch {
    /// `[height][half_width]`: the rows' spectra before they are turned into columns.
    by_rows: Vec<Complex64>,
    line: Vec<f64>,
    scratch: Vec<Complex64>,
}

impl fmt::Debug for Fft2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fft2({} x {})", self.height, self.width)
    }
}

impl Fft2 {
    /// For planes of `height` rows and `width` columns, both at least 1.
    pub(crate) fn new(height: usize, width: usize) -> Self {
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        Self {
            height,
            width,
            rows: real.plan_fft_forward(width),
            rows_back: real.plan_fft_inverse(width),
            columns: complex.plan_fft_forward(height),
            columns_back: complex.plan_fft_inverse(height),
        }
    }

    /// How many columns of the spectrum are kept.
    pub(crate) fn half_width(&self) -> usize {
        self.width / 2 + 1
    }

    /// An empty spectrum.
    pub(crate) fn spectrum(&self) -> Vec<Complex64> {
        vec![Complex64::ZERO; self.half_width() * self.height]
    }

    pub(crate) fn scratch(&self) -> FftScratch {
        let longest = [
            self.rows.get_scratch_len(),
            self.rows_back.get_scratch_len(),
            self.columns.get_inplace_scratch_len(),
            self.columns_back.get_inplace_scratch_len(),
        ];
        FftScratch {
            by_rows: self.spectrum(),
            line: vec![0.0; self.width],
            scratch: vec![Complex64::ZERO; longest.into_iter().max().unwrap_or(0)],
        }
    }

    /// Calls `each` with the place of every frequency of the half spectrum in a whole plane, that of the opposite
    /// frequency, and its place in the half spectrum.
    pub(crate) fn frequencies(&self, mut each: impl FnMut(usize, usize, usize)) {
        let (height, width) = (self.height, self.width);
        for l in 0..self.half_width() {
            for k in 0..height {
                let opposite = (height - k) % height * width + (width - l) % width;
                each(k * width + l, opposite, l * height + k);
            }
        }
    }

    /// The spectrum of the first rows of a plane, `pixel(y, x)` for `y < rows`; all other rows are zero.
    pub(crate) fn forward(
        &self,
        rows: usize,
        pixel: impl Fn(usize, usize) -> f64,
        spectrum: &mut [Complex64],
        memory: &mut FftScratch,
    ) {
        let half = self.half_width();
        for (y, row) in memory.by_rows.chunks_exact_mut(half).enumerate() {
            if y >= rows {
                row.fill(Complex64::ZERO);
                continue;
            }
            for (x, value) in memory.line.iter_mut().enumerate() {
                *value = pixel(y, x);
            }
            // It fails on wrong lengths only, and the lengths are those of the plan.
            let done = self
                .rows
                .process_with_scratch(&mut memory.line, row, &mut memory.scratch);
            debug_assert!(done.is_ok());
        }
        transpose(&memory.by_rows, spectrum, self.height, half);
        self.columns.process_with_scratch(spectrum, &mut memory.scratch);
    }

    /// The plane of a spectrum, which is overwritten: the inverse of [`Self::forward`], with the factor
    /// `1 / (height width)`. `pixel(y, row)` receives each of the first `rows` rows.
    pub(crate) fn backward(
        &self,
        spectrum: &mut [Complex64],
        rows: usize,
        mut pixel: impl FnMut(usize, &[f64]),
        memory: &mut FftScratch,
    ) {
        let half = self.half_width();
        let scale = 1.0 / (self.height * self.width) as f64;
        self.columns_back.process_with_scratch(spectrum, &mut memory.scratch);
        transpose(spectrum, &mut memory.by_rows, half, self.height);
        for (y, row) in memory.by_rows.chunks_exact_mut(half).enumerate().take(rows) {
            // Real by symmetry; what stands there is rounding, and the plan refuses it.
            row[0].im = 0.0;
            if self.width.is_multiple_of(2) {
                row[half - 1].im = 0.0;
            }
            let done = self
                .rows_back
                .process_with_scratch(row, &mut memory.line, &mut memory.scratch);
            debug_assert!(done.is_ok());
            memory.line.iter_mut().for_each(|value| *value *= scale);
            pixel(y, &memory.line);
        }
    }
}

/// `[height][width]` to `[width][height]`.
pub(crate) fn transpose<T: Copy>(from: &[T], to: &mut [T], height: usize, width: usize) {
    for (x, column) in to.chunks_exact_mut(height).enumerate() {
        for (y, value) in column.iter_mut().enumerate() {
            *value = from[y * width + x];
        }
    }
}
