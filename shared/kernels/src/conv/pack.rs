//! Weights in the order in which the micro-kernel reads them.

use rayon::prelude::*;

use crate::channels_last::padded;
use crate::check_len;
use crate::conv::direct::PHASE_POSITIONS;
use crate::conv::tile::PANEL;
use crate::conv::winograd::{transform_f2, transform_f4};
use crate::conv::{Algorithm, ConvShape};

/// Which pass the weights are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    InputGrad,
}

/// A convolution's weights in the order in which the micro-kernel reads them, for one of the two passes and one
/// [`Algorithm`].
///
/// It depends on the size of the images only through the algorithm, so pack weights that do not change only once for
/// each.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pass: Pass,
    algorithm: Algorithm,
    c_in: usize,
    c_out: usize,
    kernel: usize,
    stride: usize,
    /// One set for all pixels, `[panel][tap or position][input][16 outputs]`; but four for the input gradient with
    /// stride 2, see [`super::direct`].
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
        let (expected, got) = (shape.algorithm(), self.algorithm);
        assert!(
            expected == got,
            "packed weights: expected those for {expected:?}, got those for {got:?}"
        );
    }
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_forward`], for all shapes with the same
/// [`ConvShape::algorithm`].
#[must_use]
pub fn pack_forward(shape: &ConvShape, weight: &[f32]) -> PackedWeights {
    shape.check();
    check_len("pack_forward: weight", shape.weight_len(), weight.len());
    let (c_in, c_out, taps) = (shape.c_in, shape.c_out, shape.kernel * shape.kernel);
    let value = |i: usize, o: usize, tap: usize| weight[(o * c_in + i) * taps + tap];
    let part = pack(shape.algorithm(), [c_in, c_out], taps, value);
    PackedWeights::new(Pass::Forward, shape, vec![part])
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_input_grad`], for all shapes with the same
/// [`ConvShape::algorithm`]: inputs and outputs change roles.
#[must_use]
pub fn pack_input_grad(shape: &ConvShape, weight: &[f32]) -> PackedWeights {
    shape.check();
    check_len("pack_input_grad: weight", shape.weight_len(), weight.len());
    let (c_in, c_out, taps) = (shape.c_in, shape.c_out, shape.kernel * shape.kernel);
    let value = |o: usize, i: usize, position: usize| weight[(o * c_in + i) * taps + position];
    let parts = if shape.stride == 1 {
        // An input pixel at offset d from an output pixel sees that output at offset -d: the kernel is turned around.
        let turned = |o: usize, i: usize, tap: usize| value(o, i, taps - 1 - tap);
        vec![pack(shape.algorithm(), [c_out, c_in], taps, turned)]
    } else {
        let phase = |positions: &[usize]| {
            let value = |o: usize, i: usize, tap: usize| value(o, i, positions[tap]);
            pack(Algorithm::Direct, [c_out, c_in], positions.len(), value)
        };
        PHASE_POSITIONS.map(phase).into()
    };
    PackedWeights::new(Pass::InputGrad, shape, parts)
}

impl PackedWeights {
    fn new(pass: Pass, shape: &ConvShape, parts: Vec<Vec<f32>>) -> Self {
        Self {
            pass,
            algorithm: shape.algorithm(),
            c_in: shape.c_in,
            c_out: shape.c_out,
            kernel: shape.kernel,
            stride: shape.stride,
            parts,
        }
    }
}

/// Packs `value(input, output, tap)`. What fills up channels to their padded number is zero.
fn pack(
    algorithm: Algorithm,
    [inputs, outputs]: [usize; 2],
    taps: usize,
    value: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    // Sixteen outputs' kernels for one input.
    let lanes = |panel: usize, input: usize, tap: usize| -> [f32; PANEL] {
        std::array::from_fn(|lane| {
            let output = panel * PANEL + lane;
            if input < inputs && output < outputs {
                value(input, output, tap)
            } else {
                0.0
            }
        })
    };
    let kernels = |panel: usize, input: usize| std::array::from_fn(|tap| lanes(panel, input, tap));
    let channels = [padded(inputs), padded(outputs)];
    match algorithm {
        Algorithm::Direct => {
            let mut packed = vec![0.0; channels[0] * channels[1] * taps];
            let panels = packed.par_chunks_mut(channels[0] * taps * PANEL).enumerate();
            panels.for_each(|(panel, to)| {
                for (tap, to) in to.chunks_exact_mut(channels[0] * PANEL).enumerate() {
                    for (input, to) in to.chunks_exact_mut(PANEL).enumerate() {
                        to.copy_from_slice(&lanes(panel, input, tap));
                    }
                }
            });
            packed
        }
        Algorithm::Winograd2 => transform_f2(channels, kernels),
        Algorithm::Winograd4 => transform_f4(channels, kernels),
    }
}
