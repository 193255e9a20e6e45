//! The kernels' transform.

use rayon::prelude::*;

use crate::conv::tile::PANEL;
use crate::conv::winograd::transform::{F2, F4, Winograd, both_ways, kernel};
use crate::simd::{Simd, SimdPath, dispatch, simd_path};

/// The nine values of the kernel between one input and sixteen outputs.
type Kernels = [[f32; PANEL]; 9];

/// F(2): `[panel][position][input][16 outputs]`, of `kernels(panel, input)`, for padded numbers of inputs and outputs.
pub(in crate::conv) fn transform_f2(
    [inputs, outputs]: [usize; 2],
    kernels: impl Fn(usize, usize) -> Kernels + Sync,
) -> Vec<f32> {
    transform(16, transform_f2_input, [inputs, outputs], kernels)
}

/// F(4): likewise.
pub(in crate::conv) fn transform_f4(
    [inputs, outputs]: [usize; 2],
    kernels: impl Fn(usize, usize) -> Kernels + Sync,
) -> Vec<f32> {
    transform(36, transform_f4_input, [inputs, outputs], kernels)
}

fn transform(
    positions: usize,
    one: fn(SimdPath, &Kernels, usize, &mut [f32]),
    [inputs, outputs]: [usize; 2],
    kernels: impl Fn(usize, usize) -> Kernels + Sync,
) -> Vec<f32> {
    let path = simd_path();
    let mut transformed = vec![0.0; positions * inputs * outputs];
    let panels = transformed.par_chunks_mut(positions * inputs * PANEL).enumerate();
    panels.for_each(|(panel, to)| {
        for input in 0..inputs {
            one(path, &kernels(panel, input), inputs * PANEL, &mut to[input * PANEL..]);
        }
    });
    transformed
}

dispatch! {
    /// `G g G'`, one position every `stride` floats.
    fn transform_f2_input = f2_input(kernels: &Kernels, stride: usize, to: &mut [f32])
}
dispatch! {
    /// Likewise.
    fn transform_f4_input = f4_input(kernels: &Kernels, stride: usize, to: &mut [f32])
}

#[inline(always)]
fn f2_input<S: Simd>(simd: S, kernels: &Kernels, stride: usize, to: &mut [f32]) {
    transform_input::<S, F2, 2, 4>(simd, kernels, stride, to);
}

#[inline(always)]
fn f4_input<S: Simd>(simd: S, kernels: &Kernels, stride: usize, to: &mut [f32]) {
    transform_input::<S, F4, 4, 6>(simd, kernels, stride, to);
}

#[inline(always)]
fn transform_input<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    kernels: &Kernels,
    stride: usize,
    to: &mut [f32],
) {
    let mut columns = [[simd.splat(0.0); A]; 3];
    for lane in (0..PANEL).step_by(S::LANES) {
        both_ways!(simd, kernel::<S, W, M, A>, columns, (r, c) => simd.load(&kernels[3 * r + c][lane..]), 3, (r, u) => {
            for (c, u) in u.iter().enumerate() {
                simd.store(*u, &mut to[(r * A + c) * stride + lane..]);
            }
        });
    }
}
