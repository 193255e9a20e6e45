//! 2-D convolution: forward, and the gradients of its input, weights and bias.
//!
//! Images have their channels last ([`crate::channels_last`]): at each pixel and kernel position
//! the channels of a pixel are multiplied by a matrix, inputs x outputs, and one micro-kernel (`tile`) does all such
//! products. It serves
//!
//! * the definition (`direct`): 1x1 and 3x3 with stride 2, forward and input gradient, which is a convolution too, with
//!   the kernel turned around;
//! * Winograd's algorithm (`winograd`) for 3x3 with stride 1, which multiplies a half to a quarter as often.
//!
//! Which one is fastest, [`ConvShape::algorithm`] says: the sizes alone decide, since they round differently. Weights
//! are packed for one of them, in the order of their use (`pack`). The weight gradient (`weight_grad`) sums over other
//! indices and has a micro-kernel of its own (`outer`).

mod direct;
mod outer;
mod pack;
mod tile;
mod weight_grad;
mod winograd;

#[cfg(test)]
mod tests;

pub use pack::{PackedWeights, pack_forward, pack_input_grad};

use rayon::prelude::*;

use crate::channels_last::{Onto, padded};
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

    /// Values in the input, `[batch][height][width][padded c_in]`.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * padded(self.c_in)
    }

    /// Values in the output, `[batch][out_height][out_width][padded c_out]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.out_pixels() * padded(self.c_out)
    }

    /// Values in the weights, `[c_out][c_in][kernel][kernel]`.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in * self.kernel * self.kernel
    }

    /// Multiplications of one pass (padding counted as if it were data).
    #[must_use]
    pub fn macs(&self) -> usize {
        self.batch * self.out_pixels() * self.c_out * self.c_in * self.kernel * self.kernel
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

    /// Whether it computes this kind of convolution.
    #[must_use]
    pub fn suits(self, shape: &ConvShape) -> bool {
        self == Algorithm::Direct || (shape.kernel, shape.stride) == (3, 1)
    }

    /// Panics unless it does.
    #[track_caller]
    fn check(self, shape: &ConvShape) {
        assert!(
            self.suits(shape),
            "{self:?} is for 3x3 convolutions with stride 1, got {shape:?}"
        );
    }
}

impl ConvShape {
    /// The way to compute a convolution of these sizes, in all its passes.
    ///
    /// The sizes alone decide, so that results do not depend on the machine's threads; and those of an image alone, so
    /// that they do not depend on the batch that it is in. With few tiles of 4x4 the weights, 36/9 of the original ones
    /// instead of 16/9 for tiles of 2x2, take as long to read as the multiplications that they save; and layers of
    /// small images have most weights, so that memory is spared where it counts.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        const LEAST_TILES: usize = 32;
        let tiles = self.height.div_ceil(4) * self.width.div_ceil(4);
        if !Algorithm::Winograd2.suits(self) || self.height.min(self.width) < 2 {
            Algorithm::Direct
        } else if tiles < LEAST_TILES {
            Algorithm::Winograd2
        } else {
            Algorithm::Winograd4
        }
    }

    /// Padded channels of input and output.
    fn depths(&self) -> [usize; 2] {
        [padded(self.c_in), padded(self.c_out)]
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

/// What keeps the threads busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// The tasks that this convolution is cut into.
    Tasks,
    /// Other images: this convolution is of one, and its tasks may be as large as they are fastest.
    Images,
}

/// `y = bias + x * weight` (in the sense of neural networks, that is correlation), or `y += `, as `onto` says.
///
/// `x` is `[batch][height][width][padded c_in]`, `bias` `[c_out]`, `y` `[batch][out_height][out_width][padded c_out]`.
pub fn conv_forward(shape: &ConvShape, x: &[f32], weight: &PackedWeights, bias: &[f32], onto: Onto, y: &mut [f32]) {
    forward(simd_path(), Share::Tasks, shape, x, weight, bias, onto, y);
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn forward(
    path: SimdPath,
    share: Share,
    shape: &ConvShape,
    x: &[f32],
    weight: &PackedWeights,
    bias: &[f32],
    onto: Onto,
    y: &mut [f32],
) {
    shape.check();
    weight.check(Pass::Forward, shape);
    check_len("conv_forward: x", shape.input_len(), x.len());
    check_len("conv_forward: bias", shape.c_out, bias.len());
    check_len("conv_forward: y", shape.output_len(), y.len());
    let mut padded_bias = Scratch::zeros(padded(shape.c_out));
    padded_bias[..shape.c_out].copy_from_slice(bias);
    let start = Start {
        bias: Some(&padded_bias),
        onto,
    };
    correlate(path, share, shape, shape.depths(), x, weight, start, y);
}

/// A convolution in the sense of neural networks, between so many padded channels.
#[allow(clippy::too_many_arguments)]
fn correlate(
    path: SimdPath,
    share: Share,
    shape: &ConvShape,
    depths: [usize; 2],
    x: &[f32],
    weight: &PackedWeights,
    start: Start<'_>,
    y: &mut [f32],
) {
    let weights = &weight.parts[0];
    match weight.algorithm {
        Algorithm::Direct => {
            let grid = Grid::forward(shape);
            direct::convolve(path, &[Part { grid, weights }], depths, x, start, y);
        }
        Algorithm::Winograd2 => {
            convolve_f2(
                path,
                &Tiling::new(shape, 2, depths[0], share),
                depths,
                x,
                weights,
                start,
                y,
            );
        }
        Algorithm::Winograd4 => {
            convolve_f4(
                path,
                &Tiling::new(shape, 4, depths[0], share),
                depths,
                x,
                weights,
                start,
                y,
            );
        }
    }
}

/// The gradient of the input given the gradient `dy` of the output: overwrites `dx` (laid out as `x`) or adds to it, as
/// `onto` says.
pub fn conv_input_grad(shape: &ConvShape, dy: &[f32], weight: &PackedWeights, onto: Onto, dx: &mut [f32]) {
    input_grad(simd_path(), Share::Tasks, shape, dy, weight, onto, dx);
}

pub(crate) fn input_grad(
    path: SimdPath,
    share: Share,
    shape: &ConvShape,
    dy: &[f32],
    weight: &PackedWeights,
    onto: Onto,
    dx: &mut [f32],
) {
    shape.check();
    weight.check(Pass::InputGrad, shape);
    check_len("conv_input_grad: dy", shape.output_len(), dy.len());
    check_len("conv_input_grad: dx", shape.input_len(), dx.len());
    let start = Start { bias: None, onto };
    let [inputs, outputs] = shape.depths();
    if shape.stride == 1 {
        correlate(path, share, shape, [outputs, inputs], dy, weight, start, dx);
    } else {
        let part = |phase: usize| Part {
            grid: Grid::input_grad_phase(shape, phase),
            weights: &weight.parts[phase],
        };
        direct::convolve(path, &[0, 1, 2, 3].map(part), [outputs, inputs], dy, start, dx);
    }
}

/// Adds to `dw` (`[c_out][c_in][kernel][kernel]`) the gradient of the weights, computed with `algorithm`.
pub fn conv_weight_grad(shape: &ConvShape, algorithm: Algorithm, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_grad_on(simd_path(), shape, algorithm, x, dy, dw);
}

fn weight_grad_on(path: SimdPath, shape: &ConvShape, algorithm: Algorithm, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check();
    algorithm.check(shape);
    check_len("conv_weight_grad: x", shape.input_len(), x.len());
    check_len("conv_weight_grad: dy", shape.output_len(), dy.len());
    check_len("conv_weight_grad: dw", shape.weight_len(), dw.len());
    weight_grad::weight_grad(path, shape, algorithm, x, dy, dw);
}

/// Adds to `db` (`[c_out]`) the gradient of the bias: the sum of `dy` over images and pixels.
pub fn conv_bias_grad(shape: &ConvShape, dy: &[f32], db: &mut [f32]) {
    /// Pixels whose sums are taken apart: by threads, and so that rounding does not grow with the image.
    const BAND: usize = 256;
    shape.check();
    check_len("conv_bias_grad: dy", shape.output_len(), dy.len());
    check_len("conv_bias_grad: db", shape.c_out, db.len());
    let depth = padded(shape.c_out);
    let pixels = shape.batch * shape.out_pixels();
    let mut sums = Scratch::zeros(pixels.div_ceil(BAND) * depth);
    sums.par_chunks_exact_mut(depth)
        .zip(dy.par_chunks(BAND * depth))
        .for_each(|(sums, dy)| {
            for pixel in dy.chunks_exact(depth) {
                sums.iter_mut().zip(pixel).for_each(|(sum, dy)| *sum += dy);
            }
        });
    for sums in sums.chunks_exact(depth) {
        db.iter_mut().zip(sums).for_each(|(db, sum)| *db += sum);
    }
}
