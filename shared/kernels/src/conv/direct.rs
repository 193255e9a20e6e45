//! Convolution as it is defined: for every pixel of the output, the sum over its taps.

use rayon::prelude::*;

use crate::conv::ConvShape;
use crate::conv::tile::{OUTSIDE, PANEL, Panels, Rows, Start, multiply};
use crate::scratch::Scratch;
use crate::simd::SimdPath;

/// Pixels of a task, about: few enough that the smallest images make work for several threads.
const TASK_PIXELS: usize = 32;
/// Pixels whose places are looked up at a time.
const CHUNK: usize = 32;
const MOST_TAPS: usize = 9;

/// Which pixels of an image are computed, and which of another they read: pixel (r, c) of the grid reads pixel
/// `(step * r + row, step * c + column)` for each tap (row, column), and is pixel
/// `(stride * r + row, stride * c + column)` of the output.
pub(super) struct Grid {
    /// Rows and columns of the image that is read.
    from: [usize; 2],
    step: usize,
    taps: &'static [[isize; 2]],
    rows: usize,
    columns: usize,
    stride: usize,
    /// Row and column of the output for the grid's first pixel.
    first: [usize; 2],
    /// Columns of the output.
    width: usize,
}

const CENTRE: [[isize; 2]; 1] = [[0, 0]];
const AROUND: [[isize; 2]; 9] = [
    [-1, -1],
    [-1, 0],
    [-1, 1],
    [0, -1],
    [0, 0],
    [0, 1],
    [1, -1],
    [1, 0],
    [1, 1],
];

/// The input gradient with stride 2. Input row 2 y is output row y's centre (kernel row 1); input row 2 y + 1 is above
/// the centre of output row y + 1 (kernel row 0) and below that of y (kernel row 2). The same holds for columns, which
/// makes four classes of pixels by the parities of row and column; for each its taps in the output's gradient.
const PHASE_TAPS: [&[[isize; 2]]; 4] = [
    &[[0, 0]],
    &[[0, 1], [0, 0]],
    &[[1, 0], [0, 0]],
    &[[1, 1], [1, 0], [0, 1], [0, 0]],
];
/// The kernel positions that belong to the taps of a class.
pub(super) const PHASE_POSITIONS: [&[usize]; 4] = [&[4], &[3, 5], &[1, 7], &[0, 2, 6, 8]];

impl Grid {
    /// For the output of a convolution.
    pub(super) fn forward(shape: &ConvShape) -> Self {
        Self {
            from: [shape.height, shape.width],
            step: shape.stride,
            taps: if shape.kernel == 1 { &CENTRE } else { &AROUND },
            rows: shape.out_height(),
            columns: shape.out_width(),
            stride: 1,
            first: [0, 0],
            width: shape.out_width(),
        }
    }

    /// For one of the four classes of input pixels, with stride 2.
    pub(super) fn input_grad_phase(shape: &ConvShape, phase: usize) -> Self {
        let first = [phase / 2, phase % 2];
        Self {
            from: [shape.out_height(), shape.out_width()],
            step: 1,
            taps: PHASE_TAPS[phase],
            rows: (shape.height - first[0].min(shape.height)).div_ceil(2),
            columns: (shape.width - first[1].min(shape.width)).div_ceil(2),
            stride: 2,
            first,
            width: shape.width,
        }
    }

    /// Rows of the grid that one task takes.
    fn rows_per_task(&self) -> usize {
        (TASK_PIXELS / self.columns.max(1)).max(1)
    }

    /// The pixel that pixel (r, c) reads for a tap, if the image has it.
    #[inline(always)]
    fn read(&self, r: usize, c: usize, [row, column]: [isize; 2]) -> Option<usize> {
        let y = (self.step * r).wrapping_add_signed(row);
        let x = (self.step * c).wrapping_add_signed(column);
        (y < self.from[0] && x < self.from[1]).then(|| y * self.from[1] + x)
    }
}

/// Weights `[panel][tap][input][16 outputs]` and the pixels that they make.
pub(super) struct Part<'a> {
    pub grid: Grid,
    pub weights: &'a [f32],
}

/// Runs all parts, which together make the output `y`; images are channels last, of `inputs` and `outputs` padded
/// channels.
pub(super) fn convolve(
    path: SimdPath,
    parts: &[Part<'_>],
    [inputs, outputs]: [usize; 2],
    x: &[f32],
    start: Start<'_>,
    y: &mut [f32],
) {
    let grid = &parts[0].grid;
    let rows = grid.rows_per_task();
    let (x_len, band) = (
        grid.from[0] * grid.from[1] * inputs,
        rows * grid.stride * grid.width * outputs,
    );
    let y_len = y.len() / (x.len() / x_len).max(1);
    if x.is_empty() {
        return;
    }
    assert!(
        x_len.max(y_len) < OUTSIDE as usize,
        "convolution: an image of {} values is too large",
        x_len.max(y_len)
    );
    y.par_chunks_mut(y_len).zip(x.par_chunks(x_len)).for_each(|(y, x)| {
        y.par_chunks_mut(band).enumerate().for_each(|(task, y)| {
            let zeros = Scratch::zeros(inputs);
            for part in parts {
                part.compute(path, [inputs, outputs], task * rows, rows, x, &zeros, start, y);
            }
        });
    });
}

impl Part<'_> {
    /// Rows `first..first + count` of the grid, as far as there are so many, into the band `y` of the output.
    #[allow(clippy::too_many_arguments)]
    fn compute(
        &self,
        path: SimdPath,
        [inputs, outputs]: [usize; 2],
        first: usize,
        count: usize,
        x: &[f32],
        zeros: &[f32],
        start: Start<'_>,
        y: &mut [f32],
    ) {
        let grid = &self.grid;
        let last = grid.rows.min(first + count);
        let pixels = (first * grid.columns)..(last * grid.columns);
        let panels = Panels {
            values: self.weights,
            stride: grid.taps.len() * inputs * PANEL,
            count: outputs / PANEL,
        };
        let (mut reads, mut writes) = ([0; CHUNK * MOST_TAPS], [0; CHUNK]);
        for chunk in pixels.clone().step_by(CHUNK) {
            let count = CHUNK.min(pixels.end - chunk);
            for (i, (reads, write)) in reads
                .chunks_exact_mut(grid.taps.len())
                .zip(&mut writes)
                .take(count)
                .enumerate()
            {
                let (r, c) = ((chunk + i) / grid.columns, (chunk + i) % grid.columns);
                for (read, tap) in reads.iter_mut().zip(grid.taps) {
                    *read = grid.read(r, c, *tap).map_or(OUTSIDE, |pixel| (pixel * inputs) as u32);
                }
                let row = grid.stride * (r - first) + grid.first[0];
                *write = ((row * grid.width + grid.stride * c + grid.first[1]) * outputs) as u32;
            }
            let rows = Rows {
                depth: inputs,
                taps: grid.taps.len(),
                reads: &reads[..count * grid.taps.len()],
                writes: &writes[..count],
                zeros,
            };
            multiply(path, &rows, x, panels, start, y);
        }
    }
}
