//! 2-D convolution: forward, and the gradients of its input, weights and bias.
//!
//! There is no im2col here, the usual way that copies every pixel nine times to make a matrix
//! product. An image is laid out so that every kernel position reads it at a fixed offset
//! (`layout`), weights are packed in the order of their use (`pack`), and one micro-kernel
//! (`correlate`) does the forward pass and the input gradient, which is a correlation too, with the
//! kernel turned around. The weight gradient sums over other indices and has a micro-kernel of its
//! own (`weight_grad`).

mod correlate;
mod layout;
mod pack;
mod weight_grad;

#[cfg(test)]
mod tests;

pub use pack::{PackedWeights, pack_forward, pack_input_grad};

use rayon::prelude::*;

use crate::check_len;
use crate::conv::correlate::{Inputs, Start, correlate, correlate_block};
use crate::conv::layout::Layout;
use crate::conv::pack::{BLOCK, Pass};
use crate::scratch::Scratch;
use crate::simd::{SimdPath, simd_path};

/// The sizes of a convolution with padding `kernel / 2`: 3x3 with stride 1 or 2, or 1x1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// 1 or 3.
    pub kernel: usize,
    /// 1, or 2 with kernel 3.
    pub stride: usize,
}

impl ConvShape {
    /// Rows of the output.
    #[must_use]
    pub fn out_height(&self) -> usize {
        (self.height + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    #[must_use]
    pub fn out_width(&self) -> usize {
        (self.width + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1
    }

    /// Values in the input, `[batch][c_in][height][width]`.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.c_in * self.height * self.width
    }

    /// Values in the output, `[batch][c_out][out_height][out_width]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.c_out * self.out_height() * self.out_width()
    }

    /// Values in the weights, `[c_out][c_in][kernel][kernel]`.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in * self.kernel * self.kernel
    }

    /// Multiplications of one pass (padding counted as if it were data).
    #[must_use]
    pub fn macs(&self) -> usize {
        self.output_len() * self.c_in * self.kernel * self.kernel
    }
}

impl ConvShape {
    fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    fn out_pixels(&self) -> usize {
        self.out_height() * self.out_width()
    }

    #[track_caller]
    fn check(&self) {
        check_kind(self.kernel, self.stride);
        let sizes = [self.c_in, self.c_out, self.height, self.width];
        assert!(!sizes.contains(&0), "convolution: a size is zero in {self:?}");
    }
}

/// Panics unless the kernels can do this kind of convolution.
#[track_caller]
fn check_kind(kernel: usize, stride: usize) {
    assert!(
        matches!((kernel, stride), (1, 1) | (3, 1) | (3, 2)),
        "convolution: kernel {kernel} with stride {stride} is not supported"
    );
}

/// `out = bias + x * weight` (in the sense of neural networks, that is correlation); overwrites
/// `out`.
///
/// `x` is `[batch][c_in][height][width]`, `bias` `[c_out]`, `out`
/// `[batch][c_out][out_height][out_width]`.
pub fn conv_forward(shape: &ConvShape, x: &[f32], weight: &PackedWeights, bias: &[f32], out: &mut [f32]) {
    forward(simd_path(), shape, x, weight, bias, out);
}

fn forward(path: SimdPath, shape: &ConvShape, x: &[f32], weight: &PackedWeights, bias: &[f32], out: &mut [f32]) {
    shape.check();
    weight.check(Pass::Forward, shape);
    check_len("conv_forward: x", shape.input_len(), x.len());
    check_len("conv_forward: bias", shape.c_out, bias.len());
    check_len("conv_forward: out", shape.output_len(), out.len());
    correlate_batch(path, shape, x, &weight.parts[0], Start::Bias(bias), out);
}

/// Rows of the output that are computed at a time, so that the laid out rows that they need stay in
/// a core's cache. A power of two, which makes whole vectors of the usual widths.
fn band_rows(shape: &ConvShape) -> usize {
    /// Floats: 512 KiB.
    const BAND_LEN: usize = 128 * 1024;
    const LEAST_ROWS: usize = 8;
    if shape.kernel == 1 {
        return shape.out_height();
    }
    let rows = BAND_LEN / (3 * shape.c_in * shape.width);
    1 << rows.max(LEAST_ROWS).ilog2()
}

/// A correlation of a whole batch, in parallel over images, bands of rows and blocks of channels.
fn correlate_batch(path: SimdPath, shape: &ConvShape, x: &[f32], weights: &[f32], start: Start<'_>, out: &mut [f32]) {
    let (rows, columns) = (shape.out_height(), shape.out_width());
    let band = band_rows(shape);
    let layouts: Vec<(Layout, Vec<usize>)> = (0..rows)
        .step_by(band)
        .map(|first| Layout::forward(shape, first..rows.min(first + band)))
        .map(|layout| {
            let offsets = layout.offsets(shape.c_in);
            (layout, offsets)
        })
        .collect();
    let images = out
        .par_chunks_mut(shape.c_out * rows * columns)
        .zip(x.par_chunks(shape.c_in * shape.in_pixels()));
    images.for_each(|(out, x)| {
        let bands = layouts.par_iter().zip(split_bands(out, rows * columns, band * columns));
        bands.for_each(|((layout, offsets), mut out)| {
            let copies = layout.expand(x);
            let pixels = out[0].len();
            let inputs = Inputs {
                copies: &copies,
                offsets,
                pixels,
            };
            correlate(path, &inputs, weights, start, &mut out);
        });
    });
}

/// For each band of pixels the channels' parts of it.
fn split_bands(image: &mut [f32], pixels: usize, band: usize) -> Vec<Vec<&mut [f32]>> {
    let mut bands: Vec<Vec<&mut [f32]>> = (0..pixels.div_ceil(band)).map(|_| Vec::new()).collect();
    for channel in image.chunks_exact_mut(pixels) {
        for (band, part) in bands.iter_mut().zip(channel.chunks_mut(band)) {
            band.push(part);
        }
    }
    bands
}

/// Adds to `dx` (laid out as `x`) the gradient of the input, given the gradient `dy` of the output.
pub fn conv_input_grad(shape: &ConvShape, dy: &[f32], weight: &PackedWeights, dx: &mut [f32]) {
    input_grad(simd_path(), shape, dy, weight, dx);
}

fn input_grad(path: SimdPath, shape: &ConvShape, dy: &[f32], weight: &PackedWeights, dx: &mut [f32]) {
    shape.check();
    weight.check(Pass::InputGrad, shape);
    check_len("conv_input_grad: dy", shape.output_len(), dy.len());
    check_len("conv_input_grad: dx", shape.input_len(), dx.len());
    if shape.stride == 1 {
        // A correlation again, from the output's channels to the input's.
        let turned = ConvShape {
            c_in: shape.c_out,
            c_out: shape.c_in,
            ..*shape
        };
        correlate_batch(path, &turned, dy, &weight.parts[0], Start::Existing, dx);
    } else {
        let images = dx
            .par_chunks_mut(shape.c_in * shape.in_pixels())
            .zip(dy.par_chunks(shape.c_out * shape.out_pixels()));
        images.for_each(|(dx, dy)| strided_input_grad(path, shape, dy, weight, dx));
    }
}

/// The input gradient of one image with stride 2. Input pixels fall into four classes by the
/// parities of row and column; each class is a small correlation of dy with the kernel positions
/// that reach it, computed into scratch and then spread over `dx`.
fn strided_input_grad(path: SimdPath, shape: &ConvShape, dy: &[f32], weight: &PackedWeights, dx: &mut [f32]) {
    let layout = Layout::strided_input_grad(shape);
    let copies = layout.expand(dy);
    let offsets = [0, 1, 2, 3].map(|phase| layout.phase_offsets(shape.c_out, phase));
    let pixels = shape.out_pixels();
    let blocks = dx.par_chunks_mut(BLOCK * shape.in_pixels()).enumerate();
    blocks.for_each(|(block, dx)| {
        let outputs = dx.len() / shape.in_pixels();
        let mut scratch = Scratch::take(outputs * pixels);
        for (phase, (weights, offsets)) in weight.parts.iter().zip(&offsets).enumerate() {
            let inputs = Inputs {
                copies: &copies,
                offsets,
                pixels,
            };
            let weights = &weights[block * inputs.weight_block()..][..inputs.weight_block()];
            let zeros = Start::Bias(&[0.0; BLOCK][..outputs]);
            let mut rows: Vec<&mut [f32]> = scratch.chunks_exact_mut(pixels).collect();
            correlate_block(path, &inputs, weights, zeros, &mut rows);
            for (dx, class) in dx.chunks_exact_mut(shape.in_pixels()).zip(&rows) {
                add_phase(shape, phase, class, dx);
            }
        }
    });
}

/// Adds one parity class of pixels to a channel of `dx`.
fn add_phase(shape: &ConvShape, phase: usize, class: &[f32], dx: &mut [f32]) {
    let rows = dx.chunks_exact_mut(shape.width).skip(phase / 2).step_by(2);
    for (dx, class) in rows.zip(class.chunks_exact(shape.out_width())) {
        for (pair, value) in dx[phase % 2..].chunks_mut(2).zip(class) {
            pair[0] += value;
        }
    }
}

/// Adds to `dw` (`[c_out][c_in][kernel][kernel]`) the gradient of the weights.
pub fn conv_weight_grad(shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_grad_on(simd_path(), shape, x, dy, dw);
}

fn weight_grad_on(path: SimdPath, shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check();
    check_len("conv_weight_grad: x", shape.input_len(), x.len());
    check_len("conv_weight_grad: dy", shape.output_len(), dy.len());
    check_len("conv_weight_grad: dw", shape.weight_len(), dw.len());
    weight_grad::weight_grad(path, shape, x, dy, dw);
}

/// Adds to `db` (`[c_out]`) the gradient of the bias: the sum of `dy` over images and pixels.
pub fn conv_bias_grad(shape: &ConvShape, dy: &[f32], db: &mut [f32]) {
    shape.check();
    check_len("conv_bias_grad: dy", shape.output_len(), dy.len());
    check_len("conv_bias_grad: db", shape.c_out, db.len());
    let pixels = shape.out_pixels();
    db.par_iter_mut().enumerate().for_each(|(o, db)| {
        for image in dy.chunks_exact(shape.c_out * pixels) {
            *db += lane_sum(&image[o * pixels..][..pixels]);
        }
    });
}

/// Sum in 16 lanes, which the compiler keeps in vectors. (It may not reorder a plain sum, because
/// that changes the rounding.)
fn lane_sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).sum()
}
