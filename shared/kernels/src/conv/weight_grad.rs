//! The gradient of the weights: `dw[o][i][tap] += sum over images and pixels p of dy[p][o] * x[p moved by the tap][i]`.

use rayon::prelude::*;

use crate::conv::outer::{Pixels, Segment, add_outer};
use crate::conv::tile::PANEL;
use crate::conv::winograd::{weight_grad_f2, weight_grad_f4};
use crate::conv::{Algorithm, ConvShape};
use crate::scratch::Scratch;
use crate::simd::SimdPath;

/// Pixels in a chunk, about: its part of x and dy stays in the nearest caches while a task's channels pass over it.
const CHUNK: usize = 64;
/// Input channels of a task.
const TASK_CHANNELS: usize = 16;

/// Adds the gradient of the weights to `dw`.
pub(super) fn weight_grad(
    path: SimdPath,
    shape: &ConvShape,
    algorithm: Algorithm,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let channels = shape.depths();
    match algorithm {
        Algorithm::Direct => direct(path, shape, channels, x, dy, dw),
        Algorithm::Winograd2 => {
            let gradient = weight_grad_f2(path, shape, channels, x, dy);
            add_kernels(shape, |panel, input| gradient.kernels(path, panel, input), dw);
        }
        Algorithm::Winograd4 => {
            let gradient = weight_grad_f4(path, shape, channels, x, dy);
            add_kernels(shape, |panel, input| gradient.kernels(path, panel, input), dw);
        }
    }
}

fn direct(path: SimdPath, shape: &ConvShape, [inputs, outputs]: [usize; 2], x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let taps = shape.kernel * shape.kernel;
    let mut sums = Scratch::take(taps * inputs * outputs);
    let rows = (CHUNK / shape.out_width()).max(1);
    // A task gathers the sums of one tap and some input channels, over all pixels in their order.
    let tasks = sums.par_chunks_exact_mut(TASK_CHANNELS * outputs).enumerate();
    tasks.for_each(|(task, sums)| {
        sums.fill(0.0);
        let tap = task * TASK_CHANNELS / inputs;
        let mut segments = Vec::with_capacity(rows);
        for image in 0..shape.batch {
            for first in (0..shape.out_height()).step_by(rows) {
                segments.clear();
                let rows = first..shape.out_height().min(first + rows);
                segments.extend(rows.filter_map(|row| segment(shape, [inputs, outputs], tap, image, row)));
                let pixels = Pixels {
                    x,
                    x_step: shape.stride * inputs,
                    dy,
                    dy_step: outputs,
                    segments: &segments,
                };
                add_outer(path, &pixels, task * TASK_CHANNELS % inputs, sums);
            }
        }
    });
    let kernel = |tap: usize, panel: usize, input: usize| -> [f32; PANEL] {
        *sums[(tap * inputs + input) * outputs + panel * PANEL..]
            .first_chunk()
            .expect("a panel of padded outputs is whole")
    };
    match taps {
        1 => add_kernels(shape, |panel, input| [kernel(0, panel, input)], dw),
        _ => add_kernels(
            shape,
            |panel, input| -> [_; 9] { std::array::from_fn(|tap| kernel(tap, panel, input)) },
            dw,
        ),
    }
}

/// The pixels of one row of the output whose tap lies in the image.
fn segment(shape: &ConvShape, [inputs, outputs]: [usize; 2], tap: usize, image: usize, row: usize) -> Option<Segment> {
    let pad = shape.kernel / 2;
    let (kernel_row, kernel_column) = (tap / shape.kernel, tap % shape.kernel);
    let y = (row * shape.stride + kernel_row)
        .checked_sub(pad)
        .filter(|&y| y < shape.height)?;
    // Columns c of the output with 0 <= c * stride + kernel_column - pad < width.
    let first = (pad - kernel_column.min(pad)).div_ceil(shape.stride);
    let end = (shape.width + pad - kernel_column)
        .div_ceil(shape.stride)
        .min(shape.out_width());
    let column = (first * shape.stride + kernel_column).checked_sub(pad)?;
    (first < end).then(|| Segment {
        x: ((image * shape.height + y) * shape.width + column) * inputs,
        dy: ((image * shape.out_height() + row) * shape.out_width() + first) * outputs,
        count: end - first,
    })
}

/// Adds `kernels(panel, input)`, the gradients of sixteen outputs' kernels for one input, to `dw`.
fn add_kernels<const TAPS: usize>(
    shape: &ConvShape,
    kernels: impl Fn(usize, usize) -> [[f32; PANEL]; TAPS] + Sync,
    dw: &mut [f32],
) {
    let panels = dw.par_chunks_mut(PANEL * shape.c_in * TAPS).enumerate();
    panels.for_each(|(panel, dw)| {
        for input in 0..shape.c_in {
            let kernels = kernels(panel, input);
            for (lane, dw) in dw.chunks_exact_mut(shape.c_in * TAPS).enumerate() {
                for (dw, kernel) in dw[input * TAPS..][..TAPS].iter_mut().zip(&kernels) {
                    *dw += kernel[lane];
                }
            }
        }
    });
}
