//! Convolutions and their input gradients.

use cudarc::driver::DeviceRepr;

use crate::conv::ConvShape;
use crate::cuda::norm::Normalised;
use crate::cuda::tiling::{Tiling, padded};
use crate::cuda::{Address, Buffer, Kernels, Launched, check, check_any, is_silu, small};

/// What packed weights are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The forward pass.
    Forward,
    /// The input gradient.
    Backward,
}

/// `Input` of `cuda/conv_input.cuh`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Input {
    x: Address,
    affine: Address,
    batch: i32,
    channels: i32,
    height: i32,
    width: i32,
    stored_height: i32,
    stored_width: i32,
    silu: i32,
    spread: i32,
}

impl Input {
    /// The input of a convolution, read through a norm where there is one.
    pub(super) fn of(shape: &ConvShape, x: &Buffer, norm: Option<&Normalised<'_>>) -> Self {
        check(
            "the input",
            map_len(shape.batch, shape.c_in, shape.height, shape.width),
            x,
        );
        check_any(
            "a norm's pairs",
            2 * shape.batch * shape.c_in,
            norm.map(|norm| norm.affine),
        );
        Self {
            x: Address::of(x),
            affine: Address::of_any(norm.map(|norm| norm.affine)),
            batch: small(shape.batch),
            channels: small(shape.c_in),
            height: small(shape.height),
            width: small(shape.width),
            stored_height: small(shape.height),
            stored_width: small(shape.width),
            silu: norm.map_or(0, |norm| is_silu(norm.activation)),
            spread: 1,
        }
    }

    /// The output's gradient as the input of the convolution that gives the input's gradient.
    fn of_gradient(shape: &ConvShape, dy: &Buffer) -> Self {
        let (stored_height, stored_width) = (shape.out_height(), shape.out_width());
        check("the output's gradient", output_len(shape), dy);
        Self {
            x: Address::of(dy),
            affine: Address(0),
            batch: small(shape.batch),
            channels: small(shape.c_out),
            height: small(shape.height),
            width: small(shape.width),
            stored_height: small(stored_height),
            stored_width: small(stored_width),
            silu: 0,
            spread: small(shape.stride),
        }
    }
}

/// `Conv` of `cuda/conv.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Conv {
    input: Input,
    weights: Address,
    bias: Address,
    add: Address,
    y: Address,
    partial: Address,
    arrived: Address,
    channels: i32,
    padded: i32,
    height: i32,
    width: i32,
    splits: i32,
}

// SAFETY: as in C, fields and order are those of the struct that the kernel declares.
unsafe impl DeviceRepr for Conv {}

/// Values of a batch of maps.
fn map_len(batch: usize, channels: usize, height: usize, width: usize) -> usize {
    batch * channels * height * width
}

/// Values of the output.
pub(super) fn output_len(shape: &ConvShape) -> usize {
    map_len(shape.batch, shape.c_out, shape.out_height(), shape.out_width())
}

/// Patches of 8x8 pixels of a batch of maps.
pub(super) fn patches(batch: usize, height: usize, width: usize) -> usize {
    batch * height.div_ceil(8) * width.div_ceil(8)
}

/// A convolution that is to be computed, or an input gradient, which is one.
pub(super) struct Problem<'a> {
    size: usize,
    stride: usize,
    c_in: usize,
    input: Input,
    packed: &'a Buffer,
    bias: Option<&'a Buffer>,
    add: Option<&'a Buffer>,
    batch: usize,
    /// Of the output, as height and width.
    channels: usize,
    height: usize,
    width: usize,
}

impl<'a> Problem<'a> {
    pub(super) fn forward(
        shape: &ConvShape,
        x: &Buffer,
        norm: Option<&Normalised<'_>>,
        packed: &'a Buffer,
        bias: &'a Buffer,
        add: Option<&'a Buffer>,
    ) -> Self {
        check("the bias", shape.c_out, bias);
        Self {
            size: shape.kernel,
            stride: shape.stride,
            c_in: shape.c_in,
            input: Input::of(shape, x, norm),
            packed,
            bias: Some(bias),
            add,
            batch: shape.batch,
            channels: shape.c_out,
            height: shape.out_height(),
            width: shape.out_width(),
        }
    }

    fn backward(shape: &ConvShape, dy: &Buffer, packed: &'a Buffer, add: Option<&'a Buffer>) -> Self {
        Self {
            size: shape.kernel,
            stride: 1,
            c_in: shape.c_out,
            input: Input::of_gradient(shape, dy),
            packed,
            bias: None,
            add,
            batch: shape.batch,
            channels: shape.c_in,
            height: shape.height,
            width: shape.width,
        }
    }

    fn patches(&self) -> usize {
        patches(self.batch, self.height, self.width)
    }

    fn tiling(&self) -> Tiling {
        Tiling::of(self.size, self.stride, self.c_in, self.channels, self.patches())
    }
}

impl Kernels {
    /// Weights `[c_out, c_in, kernel, kernel]` in the order in which a pass reads them.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn pack_weights(&self, shape: &ConvShape, weights: &Buffer, turn: Turn) -> Launched<Buffer> {
        check("the weights", shape.weight_len(), weights);
        let (kernel, outer, inner) = match turn {
            Turn::Forward => ("pack_weights", shape.c_in, shape.c_out),
            Turn::Backward => ("pack_turned_weights", shape.c_out, shape.c_in),
        };
        let (taps, padded) = (shape.kernel * shape.kernel, padded(inner));
        let mut packed = self.take(outer * taps * padded)?;
        let sizes: [i32; 4] = [shape.c_out, shape.c_in, taps, padded].map(small);
        let [c_out, c_in, taps, padded] = sizes;
        // SAFETY: pack_weights(weights, packed, c_out, c_in, taps, padded) reads c_out c_in taps numbers and writes as
        // many as `packed` has.
        unsafe {
            let count = outer * shape.kernel * shape.kernel * padded as usize;
            self.for_each(kernel, count, (weights, &mut packed, c_out, c_in, taps, padded))?;
        }
        Ok(packed)
    }

    /// A convolution of `act(norm(x))`, or of `x` where there is no norm; plus bias, plus `add`, which has the shape of
    /// the output. The weights are packed for [`Turn::Forward`].
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn conv(
        &self,
        shape: &ConvShape,
        x: &Buffer,
        norm: Option<&Normalised<'_>>,
        packed: &Buffer,
        bias: &Buffer,
        add: Option<&Buffer>,
    ) -> Launched<Buffer> {
        let problem = Problem::forward(shape, x, norm, packed, bias, add);
        self.convolve(&problem, problem.tiling())
    }

    /// The gradient of a convolution's input; plus `add`, which has the shape of the input. The weights are packed for
    /// [`Turn::Backward`].
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        dy: &Buffer,
        packed: &Buffer,
        add: Option<&Buffer>,
    ) -> Launched<Buffer> {
        let problem = Problem::backward(shape, dy, packed, add);
        self.convolve(&problem, problem.tiling())
    }

    pub(super) fn convolve(&self, problem: &Problem<'_>, tiling: Tiling) -> Launched<Buffer> {
        let (channels, padded) = (problem.channels, padded(problem.channels));
        let len = map_len(problem.batch, channels, problem.height, problem.width);
        check(
            "packed weights",
            problem.c_in * problem.size * problem.size * padded,
            problem.packed,
        );
        check_any("what is added", len, problem.add);
        let y = self.take(len)?;
        if len == 0 {
            return Ok(y);
        }
        let partial = match tiling.partial_len(channels, problem.patches()) {
            0 => None,
            len => Some(self.take(len)?),
        };
        let parameters = Conv {
            input: problem.input,
            weights: Address::of(problem.packed),
            bias: Address::of_any(problem.bias),
            add: Address::of_any(problem.add),
            y: Address::of(&y),
            partial: Address::of_any(partial.as_ref()),
            arrived: Address::of(&self.arrived),
            channels: small(channels),
            padded: small(padded),
            height: small(problem.height),
            width: small(problem.width),
            splits: small(tiling.splits),
        };
        let grid = tiling.grid(channels, problem.patches());
        // SAFETY: the kernels of `Tiling` declare a `Conv`; all its buffers were found to be as long as its sizes say,
        // and they live until the end of this function. Tiles that are shared are fewer than there are counters.
        unsafe { self.launch(tiling.kernel, grid, tiling.threads(), (parameters,))? };
        Ok(y)
    }
}
