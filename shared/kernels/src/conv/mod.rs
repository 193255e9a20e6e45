//! 2-D convolution: forward, and the gradients of its input, weights and bias.
//!
//! The work is done on images with their channels last ([`crate::channels_last`]): at each pixel and kernel position
//! the channels of a pixel are multiplied by a matrix, inputs x outputs, and one micro-kernel (`tile`) does all such
//! products. It serves
//!
//! * the definition (`direct`): 1x1 and 3x3 with stride 2, forward and input gradient, which is a convolution too, with
//!   the kernel turned around;
//! * Winograd's algorithm (`winograd`) for 3x3 with stride 1, which multiplies a half to a quarter as often.
//!
//! Which one is taken, [`ConvShape::algorithm`] says: the sizes alone decide, since the two round differently. Weights
//! are packed in the order of their use (`pack`). The weight gradient (`weight_grad`) sums over other indices and has a
//! micro-kernel of its own.

mod direct;
mod pack;
mod tile;
mod weight_grad;
mod winograd;

#[cfg(test)]
mod tests;

pub use pack::{PackedWeights, pack_forward, pack_input_grad};

use rayon::prelude::*;

use crate::channels_last::{Onto, from_channels_last, padded, to_channels_last};
use crate::check_len;
use crate::conv::direct::{Grid, Part};
use crate::conv::pack::Pass;
use crate::conv::tile::Start;
use crate::conv::winograd::{Tiling, convolve_f2, convolve_f4};
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

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// By its definition.
    Direct,
    /// Winograd's F(2x2, 3x3).
    Winograd2,
    /// Winograd's F(4x4, 3x3).
    Winograd4,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::Direct, Algorithm::Winograd2, Algorithm::Winograd4];
}

impl ConvShape {
    /// How the kernels compute a convolution of these sizes, in all its passes.
    ///
    /// The sizes alone decide, the batch among them: with few tiles the weights, 36/9 of the original ones for 4x4
    /// and 16/9 for 2x2, would take longer to read than the multiplications that they save.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        const LEAST_TILES: usize = 16;
        if (self.kernel, self.stride) != (3, 1) || self.height.min(self.width) < 2 {
            return Algorithm::Direct;
        }
        let tiles = self.batch * self.height.div_ceil(4) * self.width.div_ceil(4);
        if tiles < LEAST_TILES {
            Algorithm::Winograd2
        } else {
            Algorithm::Winograd4
        }
    }

    /// Padded channels of input and output.
    fn depths(&self) -> [usize; 2] {
        [padded(self.c_in), padded(self.c_out)]
    }

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
    if shape.batch == 0 {
        return;
    }
    let [inputs, outputs] = shape.depths();
    let mut turned = Scratch::take(shape.batch * shape.in_pixels() * inputs);
    to_channels_last(path, shape.c_in, shape.in_pixels(), x, &mut turned);
    let mut bias_padded = Scratch::zeros(outputs);
    bias_padded[..shape.c_out].copy_from_slice(bias);
    let mut y = Scratch::take(shape.batch * shape.out_pixels() * outputs);
    forward_last(path, shape, &turned, weight, Start::Bias(&bias_padded), &mut y);
    from_channels_last(path, shape.c_out, shape.out_pixels(), &y, Onto::Overwrite, out);
}

/// The same with the channels last.
fn forward_last(path: SimdPath, shape: &ConvShape, x: &[f32], weight: &PackedWeights, start: Start<'_>, y: &mut [f32]) {
    let grid = || Grid::forward(shape);
    correlate(path, shape, grid, shape.depths(), x, weight, start, y);
}

/// A convolution in the sense of neural networks, of stride 1 or forward; its one part by `grid` where it is direct.
#[allow(clippy::too_many_arguments)]
fn correlate(
    path: SimdPath,
    shape: &ConvShape,
    grid: impl Fn() -> Grid,
    channels: [usize; 2],
    x: &[f32],
    weight: &PackedWeights,
    start: Start<'_>,
    y: &mut [f32],
) {
    let weights = &weight.parts[0];
    match shape.algorithm() {
        Algorithm::Direct => {
            let part = Part { grid: grid(), weights };
            direct::convolve(path, &[part], channels, x, start, y);
        }
        Algorithm::Winograd2 => {
            let tiling = Tiling::new(shape, 2, channels[0]);
            convolve_f2(path, &tiling, channels, x, weights, start, y);
        }
        Algorithm::Winograd4 => {
            let tiling = Tiling::new(shape, 4, channels[0]);
            convolve_f4(path, &tiling, channels, x, weights, start, y);
        }
    }
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
    if shape.batch == 0 {
        return;
    }
    let [inputs, outputs] = shape.depths();
    let mut turned = Scratch::take(shape.batch * shape.out_pixels() * outputs);
    to_channels_last(path, shape.c_out, shape.out_pixels(), dy, &mut turned);
    let mut gradient = Scratch::take(shape.batch * shape.in_pixels() * inputs);
    input_grad_last(path, shape, &turned, weight, Start::Zero, &mut gradient);
    from_channels_last(path, shape.c_in, shape.in_pixels(), &gradient, Onto::Add, dx);
}

/// The same with the channels last.
fn input_grad_last(
    path: SimdPath,
    shape: &ConvShape,
    dy: &[f32],
    weight: &PackedWeights,
    start: Start<'_>,
    dx: &mut [f32],
) {
    let [inputs, outputs] = shape.depths();
    if shape.stride == 1 {
        correlate(
            path,
            shape,
            || Grid::forward(shape),
            [outputs, inputs],
            dy,
            weight,
            start,
            dx,
        );
    } else {
        let part = |phase: usize| Part {
            grid: Grid::input_grad_phase(shape, phase),
            weights: &weight.parts[phase],
        };
        direct::convolve(path, &[0, 1, 2, 3].map(part), [outputs, inputs], dy, start, dx);
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
    if shape.batch == 0 {
        return;
    }
    let [inputs, outputs] = shape.depths();
    let mut x_turned = Scratch::take(shape.batch * shape.in_pixels() * inputs);
    to_channels_last(path, shape.c_in, shape.in_pixels(), x, &mut x_turned);
    let mut dy_turned = Scratch::take(shape.batch * shape.out_pixels() * outputs);
    to_channels_last(path, shape.c_out, shape.out_pixels(), dy, &mut dy_turned);
    weight_grad::weight_grad(path, shape, shape.depths(), &x_turned, &dy_turned, dw);
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
