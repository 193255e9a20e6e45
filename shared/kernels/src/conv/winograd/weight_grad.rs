//! The gradient of the weights by the same transforms: F(3 x 3, m x m).
//!
//! ```text
//! dg = G' [ sum over tiles of (B' d B) . (A dy A') ] G
//! ```
//!
//! First, in parallel over tasks, some thousand tiles of the input and of the output's gradient are transformed; then,
//! in parallel over the positions, these are multiplied and summed. Each sum belongs to one task, and runs over the
//! tiles in their order.

use rayon::prelude::*;

use crate::conv::outer::{Pixels, Segment, add_outer};
use crate::conv::tile::PANEL;
use crate::conv::winograd::tiles::{Tiles, input_f2, input_f4};
use crate::conv::winograd::transform::{F2, F4, Winograd, both_ways, kernel_grad};
use crate::conv::winograd::{Tiling, position_stride};
use crate::conv::{ConvShape, Share};
use crate::scratch::Scratch;
use crate::simd::{Simd, SimdPath, dispatch};

/// Floats of transformed tiles between the two steps, about: 4 MiB.
const BLOCK_LEN: usize = 1024 * 1024;

/// The gradient of sixteen outputs' kernels for one input.
type Kernels = [[f32; PANEL]; 9];

/// What differs between F(2) and F(4).
struct Steps {
    m: usize,
    positions: usize,
    input: fn(SimdPath, &Tiles<'_>, &[f32], &mut [f32]),
    output_grad: fn(SimdPath, &Tiles<'_>, &[f32], &mut [f32]),
    kernels: fn(SimdPath, &[f32], usize, &mut Kernels),
}

/// With F(2): hands the gradient to `add(panel, input, kernels)`, for padded images `x` and `dy`, channels last.
pub(in crate::conv) fn weight_grad_f2(
    path: SimdPath,
    shape: &ConvShape,
    channels: [usize; 2],
    x: &[f32],
    dy: &[f32],
) -> WeightGrad {
    let steps = Steps {
        m: 2,
        positions: 16,
        input: input_f2,
        output_grad: output_grad_f2,
        kernels: kernels_f2,
    };
    steps.weight_grad(path, shape, channels, x, dy)
}

/// With F(4): likewise.
pub(in crate::conv) fn weight_grad_f4(
    path: SimdPath,
    shape: &ConvShape,
    channels: [usize; 2],
    x: &[f32],
    dy: &[f32],
) -> WeightGrad {
    let steps = Steps {
        m: 4,
        positions: 36,
        input: input_f4,
        output_grad: output_grad_f4,
        kernels: kernels_f4,
    };
    steps.weight_grad(path, shape, channels, x, dy)
}

/// A weight gradient before its last transform.
pub(in crate::conv) struct WeightGrad {
    /// `[position][input][output]`.
    sums: Scratch,
    channels: [usize; 2],
    kernels: fn(SimdPath, &[f32], usize, &mut Kernels),
}

impl WeightGrad {
    /// The gradient of the kernels between an input and the 16 outputs of a panel.
    pub(in crate::conv) fn kernels(&self, path: SimdPath, panel: usize, input: usize) -> Kernels {
        let [inputs, outputs] = self.channels;
        let mut kernels = [[0.0; PANEL]; 9];
        let first = input * outputs + panel * PANEL;
        (self.kernels)(path, &self.sums[first..], inputs * outputs, &mut kernels);
        kernels
    }
}

impl Steps {
    fn weight_grad(
        &self,
        path: SimdPath,
        shape: &ConvShape,
        [inputs, outputs]: [usize; 2],
        x: &[f32],
        dy: &[f32],
    ) -> WeightGrad {
        let tiling = Tiling::new(shape, self.m, inputs.max(outputs), Share::Tasks);
        let x_stride = position_stride(tiling.task_tiles() * inputs);
        let dy_stride = position_stride(tiling.task_tiles() * outputs);
        let (x_len, dy_len) = (self.positions * x_stride, self.positions * dy_stride);
        let block = (BLOCK_LEN / (x_len + dy_len)).clamp(1, tiling.tasks().max(1));
        let mut x_turned = Scratch::take(block * x_len);
        let mut dy_turned = Scratch::take(block * dy_len);
        let zeros = Scratch::zeros(inputs.max(outputs));
        let mut sums = Scratch::take(self.positions * inputs * outputs);
        if tiling.tasks() == 0 {
            sums.fill(0.0);
        }
        for first in (0..tiling.tasks()).step_by(block) {
            let count = block.min(tiling.tasks() - first);
            let tasks = x_turned
                .par_chunks_exact_mut(x_len)
                .zip(dy_turned.par_chunks_exact_mut(dy_len));
            tasks
                .take(count)
                .enumerate()
                .for_each(|(index, (x_turned, dy_turned))| {
                    let tiles = |channels, stride| Tiles {
                        tiling: &tiling,
                        task: tiling.task(first + index),
                        channels,
                        stride,
                        zeros: &zeros,
                    };
                    (self.input)(path, &tiles(inputs, x_stride), x, x_turned);
                    (self.output_grad)(path, &tiles(outputs, dy_stride), dy, dy_turned);
                });
            sums.par_chunks_exact_mut(inputs * outputs)
                .enumerate()
                .for_each(|(position, sums)| {
                    if first == 0 {
                        sums.fill(0.0);
                    }
                    let segment = |index: usize| Segment {
                        x: index * x_len + position * x_stride,
                        dy: index * dy_len + position * dy_stride,
                        count: tiling.task(first + index).tiles,
                    };
                    let segments: Vec<Segment> = (0..count).map(segment).collect();
                    let pixels = Pixels {
                        x: &x_turned,
                        x_step: inputs,
                        dy: &dy_turned,
                        dy_step: outputs,
                        segments: &segments,
                    };
                    add_outer(path, &pixels, 0, sums);
                });
        }
        WeightGrad {
            sums,
            channels: [inputs, outputs],
            kernels: self.kernels,
        }
    }
}

dispatch! {
    /// `to[position][tile][channel] = A dy A'`.
    fn output_grad_f2 = output_grad_f2_tiles(tiles: &Tiles<'_>, dy: &[f32], to: &mut [f32])
}
dispatch! {
    /// Likewise.
    fn output_grad_f4 = output_grad_f4_tiles(tiles: &Tiles<'_>, dy: &[f32], to: &mut [f32])
}

#[inline(always)]
fn output_grad_f2_tiles<S: Simd>(simd: S, tiles: &Tiles<'_>, dy: &[f32], to: &mut [f32]) {
    output_grad_tiles::<S, F2, 2, 4>(simd, tiles, dy, to);
}

#[inline(always)]
fn output_grad_f4_tiles<S: Simd>(simd: S, tiles: &Tiles<'_>, dy: &[f32], to: &mut [f32]) {
    output_grad_tiles::<S, F4, 4, 6>(simd, tiles, dy, to);
}

#[inline(always)]
fn output_grad_tiles<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    tiles: &Tiles<'_>,
    dy: &[f32],
    to: &mut [f32],
) {
    let (tiling, depth) = (tiles.tiling, tiles.channels);
    let mut columns = [[simd.splat(0.0); A]; M];
    for tile in 0..tiles.task.tiles {
        let [image, row, column] = tiles.task.place(tiling, tile);
        let image = &dy[image * tiling.pixels() * depth..];
        let pixel = |r: usize, c: usize| {
            if row + r < tiling.height && column + c < tiling.width {
                &image[((row + r) * tiling.width + column + c) * depth..][..depth]
            } else {
                &tiles.zeros[..depth]
            }
        };
        let mut pixels: [[&[f32]; M]; M] = [[&[]; M]; M];
        for (r, row) in pixels.iter_mut().enumerate() {
            for (c, from) in row.iter_mut().enumerate() {
                *from = pixel(r, c);
            }
        }
        for channel in (0..depth).step_by(S::LANES) {
            let to = &mut to[tile * depth + channel..];
            both_ways!(simd, W::output_grad, columns, (r, c) => simd.load(&pixels[r][c][channel..]), M, (r, v) => {
                for (c, v) in v.iter().enumerate() {
                    simd.store(*v, &mut to[(r * A + c) * tiles.stride..]);
                }
            });
        }
    }
}

dispatch! {
    /// `G' sums G`, one position every `stride` floats.
    fn kernels_f2 = kernels_f2_sums(sums: &[f32], stride: usize, kernels: &mut Kernels)
}
dispatch! {
    /// Likewise.
    fn kernels_f4 = kernels_f4_sums(sums: &[f32], stride: usize, kernels: &mut Kernels)
}

#[inline(always)]
fn kernels_f2_sums<S: Simd>(simd: S, sums: &[f32], stride: usize, kernels: &mut Kernels) {
    kernels_of_sums::<S, F2, 2, 4>(simd, sums, stride, kernels);
}

#[inline(always)]
fn kernels_f4_sums<S: Simd>(simd: S, sums: &[f32], stride: usize, kernels: &mut Kernels) {
    kernels_of_sums::<S, F4, 4, 6>(simd, sums, stride, kernels);
}

#[inline(always)]
fn kernels_of_sums<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    sums: &[f32],
    stride: usize,
    kernels: &mut Kernels,
) {
    let mut columns = [[simd.splat(0.0); 3]; A];
    for lane in (0..PANEL).step_by(S::LANES) {
        let sum = |r: usize, c: usize| &sums[(r * A + c) * stride + lane..];
        both_ways!(simd, kernel_grad::<S, W, M, A>, columns, (r, c) => simd.load(sum(r, c)), A, (r, taps) => {
            for (c, tap) in taps.iter().enumerate() {
                simd.store(*tap, &mut kernels[3 * r + c][lane..]);
            }
        });
    }
}
