//! The order of packed weights: `[block of 8 outputs][input][tap][8]`, so that the micro-kernel
//! reads them one after another.

use rayon::prelude::*;

use super::{ConvShape, check_kind};
use crate::check_len;

/// Outputs in a block. A path whose register tile is smaller takes a block in two halves, so
/// packing does not depend on the path.
pub(super) const BLOCK: usize = 8;

/// Which pass the weights are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    InputGrad,
}

/// A convolution's weights in the order in which the micro-kernel reads them, for one of the two
/// passes.
///
/// It depends neither on the batch nor on the size of the images, so pack weights that do not
/// change only once.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(super) pass: Pass,
    c_in: usize,
    c_out: usize,
    kernel: usize,
    stride: usize,
    /// One set for all pixels; but four for the input gradient with stride 2, see [`grad_phase`].
    pub(super) parts: Vec<Vec<f32>>,
}

impl PackedWeights {
    /// Panics unless the weights are packed for this pass and these sizes.
    #[track_caller]
    pub(super) fn check(&self, pass: Pass, shape: &ConvShape) {
        assert!(
            self.pass == pass,
            "weights packed for {:?} used for {pass:?}",
            self.pass
        );
        let expected = (shape.c_in, shape.c_out, shape.kernel, shape.stride);
        let got = (self.c_in, self.c_out, self.kernel, self.stride);
        assert!(
            expected == got,
            "packed weights (c_in, c_out, kernel, stride): expected {expected:?}, got {got:?}"
        );
    }
}

/// The input gradient with stride 2, for input pixels of one row parity (the same holds for
/// columns): the pairs of kernel row and row shift of the output gradient that reach them. Input
/// row 2y is output row y's centre; input row 2y + 1 is above the centre of output row y + 1 and
/// below that of y.
const GRAD_PARITY: [&[(usize, usize)]; 2] = [&[(1, 0)], &[(0, 1), (2, 0)]];

/// The taps of one of the four (row parity, column parity) classes of input pixels: kernel
/// position, and index into the taps of [`super::layout::Layout::strided_input_grad`].
pub(super) fn grad_phase(phase: usize) -> Vec<(usize, usize)> {
    let mut taps = Vec::new();
    for (kernel_row, row_shift) in GRAD_PARITY[phase / 2] {
        for (kernel_col, col_shift) in GRAD_PARITY[phase % 2] {
            taps.push((kernel_row * 3 + kernel_col, row_shift * 2 + col_shift));
        }
    }
    taps
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_forward`].
#[must_use]
pub fn pack_forward(c_in: usize, c_out: usize, kernel: usize, stride: usize, weight: &[f32]) -> PackedWeights {
    check_kind(kernel, stride);
    let taps = kernel * kernel;
    check_len("pack_forward: weight", c_out * c_in * taps, weight.len());
    let part = pack(c_out, c_in, taps, |o, i, tap| weight[(o * c_in + i) * taps + tap]);
    PackedWeights {
        pass: Pass::Forward,
        c_in,
        c_out,
        kernel,
        stride,
        parts: vec![part],
    }
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_input_grad`]: inputs and outputs
/// change roles.
#[must_use]
pub fn pack_input_grad(c_in: usize, c_out: usize, kernel: usize, stride: usize, weight: &[f32]) -> PackedWeights {
    check_kind(kernel, stride);
    let taps = kernel * kernel;
    check_len("pack_input_grad: weight", c_out * c_in * taps, weight.len());
    let parts = if stride == 1 {
        // An input pixel at offset d from an output pixel sees that output at offset -d: the kernel
        // is turned around.
        vec![pack(c_in, c_out, taps, |i, o, tap| {
            weight[(o * c_in + i) * taps + taps - 1 - tap]
        })]
    } else {
        let phase = |phase| {
            let positions = grad_phase(phase);
            pack(c_in, c_out, positions.len(), |i, o, tap| {
                weight[(o * c_in + i) * taps + positions[tap].0]
            })
        };
        (0..4).map(phase).collect()
    };
    PackedWeights {
        pass: Pass::InputGrad,
        c_in,
        c_out,
        kernel,
        stride,
        parts,
    }
}

/// Packs `weight(output, input, tap)`; outputs that fill up the last block get zeros.
fn pack(outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32 + Sync) -> Vec<f32> {
    let mut packed = vec![0.0; outputs.div_ceil(BLOCK) * inputs * taps * BLOCK];
    packed
        .par_chunks_mut(inputs * taps * BLOCK)
        .enumerate()
        .for_each(|(block, packed)| {
            for lane in 0..BLOCK.min(outputs - block * BLOCK) {
                for (index, value) in packed.iter_mut().skip(lane).step_by(BLOCK).enumerate() {
                    *value = weight(block * BLOCK + lane, index / taps, index % taps);
                }
            }
        });
    packed
}
