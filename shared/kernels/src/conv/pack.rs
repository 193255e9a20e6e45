//! Weights in the order in which the micro-kernel reads them.

use rayon::prelude::*;

use crate::channels_last::padded;
use crate::check_len;
use crate::conv::direct::PHASE_POSITIONS;
use crate::conv::tile::PANEL;
use crate::conv::winograd::{transform_f2, transform_f4};
use crate::conv::{Algorithm, ConvShape};

/// Positions of the largest kernel.
const MOST_TAPS: usize = 9;
/// All of them, in their order.
const POSITIONS: [usize; MOST_TAPS] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/// Which pass the weights are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    InputGrad,
}

/// A convolution's weights in the order in which the micro-kernel reads them, for one of the two passes and one
/// [`Algorithm`].
///
/// It depends on neither the batch nor the size of the images, so pack weights that do not change only once for each
/// algorithm.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pass: Pass,
    pub(super) algorithm: Algorithm,
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
    }
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_forward`], which will compute with `algorithm`.
///
/// # Panics
///
/// If the algorithm is none for this kind of convolution, or `weight` has another length.
#[must_use]
pub fn pack_forward(shape: &ConvShape, algorithm: Algorithm, weight: &[f32]) -> PackedWeights {
    shape.check();
    algorithm.check(shape);
    check_len("pack_forward: weight", shape.weight_len(), weight.len());
    let (c_in, c_out, taps) = (shape.c_in, shape.c_out, shape.kernel * shape.kernel);
    let kernel = |i: usize, o: usize| &weight[(o * c_in + i) * taps..][..taps];
    let part = pack(algorithm, [c_in, c_out], &POSITIONS[..taps], kernel);
    PackedWeights::new(Pass::Forward, shape, algorithm, vec![part])
}

/// Packs weights `[c_out][c_in][kernel][kernel]` for [`super::conv_input_grad`], which will compute with `algorithm`:
/// inputs and outputs change roles.
///
/// # Panics
///
/// As [`pack_forward`].
#[must_use]
pub fn pack_input_grad(shape: &ConvShape, algorithm: Algorithm, weight: &[f32]) -> PackedWeights {
    shape.check();
    algorithm.check(shape);
    check_len("pack_input_grad: weight", shape.weight_len(), weight.len());
    let (c_in, c_out, taps) = (shape.c_in, shape.c_out, shape.kernel * shape.kernel);
    let kernel = |o: usize, i: usize| &weight[(o * c_in + i) * taps..][..taps];
    let parts = if shape.stride == 1 {
        // An input pixel at offset d from an output pixel sees that output at offset -d: the kernel is turned around.
        let mut turned = POSITIONS;
        turned[..taps].reverse();
        vec![pack(algorithm, [c_out, c_in], &turned[..taps], kernel)]
    } else {
        PHASE_POSITIONS
            .map(|positions| pack(Algorithm::Direct, [c_out, c_in], positions, kernel))
            .into()
    };
    PackedWeights::new(Pass::InputGrad, shape, algorithm, parts)
}

impl PackedWeights {
    fn new(pass: Pass, shape: &ConvShape, algorithm: Algorithm, parts: Vec<Vec<f32>>) -> Self {
        Self {
            pass,
            algorithm,
            c_in: shape.c_in,
            c_out: shape.c_out,
            kernel: shape.kernel,
            stride: shape.stride,
            parts,
        }
    }
}

/// Packs the values of `kernel(input, output)` at those positions, one for each tap. What fills up channels to their
/// padded number is zero.
fn pack<'a>(
    algorithm: Algorithm,
    [inputs, outputs]: [usize; 2],
    positions: &[usize],
    kernel: impl Fn(usize, usize) -> &'a [f32] + Sync,
) -> Vec<f32> {
    // Sixteen outputs' kernels for one input.
    let kernels = |panel: usize, input: usize| {
        let mut kernels = [[0.0; PANEL]; MOST_TAPS];
        let outputs = panel * PANEL..outputs.min((panel + 1) * PANEL);
        if input < inputs {
            for (lane, output) in outputs.enumerate() {
                let kernel = kernel(input, output);
                for (lanes, position) in kernels.iter_mut().zip(positions) {
                    lanes[lane] = kernel[*position];
                }
            }
        }
        kernels
    };
    let channels = [padded(inputs), padded(outputs)];
    match algorithm {
        Algorithm::Direct => {
            let tap_len = channels[0] * PANEL;
            let mut packed = vec![0.0; channels[1] * channels[0] * positions.len()];
            let panels = packed.par_chunks_mut(tap_len * positions.len()).enumerate();
            panels.for_each(|(panel, to)| {
                for input in 0..inputs {
                    for (to, lanes) in to.chunks_exact_mut(tap_len).zip(&kernels(panel, input)) {
                        to[input * PANEL..][..PANEL].copy_from_slice(lanes);
                    }
                }
            });
            packed
        }
        Algorithm::Winograd2 => transform_f2(channels, kernels),
        Algorithm::Winograd4 => transform_f4(channels, kernels),
    }
}
