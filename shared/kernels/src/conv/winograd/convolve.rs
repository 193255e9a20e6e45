//! The forward pass, and the input gradient, which is one too.

use std::ops::Range;

use rayon::prelude::*;

use crate::conv::tile::{PANEL, Panels, Rows, Start, multiply};
use crate::conv::winograd::tiles::{Products, Tiles, input_f2, input_f4, output_f2, output_f4};
use crate::conv::winograd::{MOST_TILES, Tiling, position_stride};
use crate::scratch::Scratch;
use crate::simd::{Simd, SimdPath, dispatch};

/// F(2): `y = start + x * weights`; images are channels last, of `inputs` and `outputs` padded channels.
pub(in crate::conv) fn convolve_f2(
    path: SimdPath,
    tiling: &Tiling,
    channels: [usize; 2],
    x: &[f32],
    weights: &[f32],
    start: Start<'_>,
    y: &mut [f32],
) {
    convolve(path, &F2_STEPS, tiling, channels, x, weights, start, y);
}

/// F(4): likewise.
pub(in crate::conv) fn convolve_f4(
    path: SimdPath,
    tiling: &Tiling,
    channels: [usize; 2],
    x: &[f32],
    weights: &[f32],
    start: Start<'_>,
    y: &mut [f32],
) {
    convolve(path, &F4_STEPS, tiling, channels, x, weights, start, y);
}

/// What differs between the two.
struct Steps {
    positions: usize,
    input: fn(SimdPath, &Tiles<'_>, &[f32], &mut [f32]),
    output: fn(SimdPath, &Products<'_>, Start<'_>, &mut [f32]),
}

const F2_STEPS: Steps = Steps {
    positions: 16,
    input: input_f2,
    output: output_f2,
};
const F4_STEPS: Steps = Steps {
    positions: 36,
    input: input_f4,
    output: output_f4,
};

#[allow(clippy::too_many_arguments)]
fn convolve(
    path: SimdPath,
    steps: &Steps,
    tiling: &Tiling,
    [inputs, outputs]: [usize; 2],
    x: &[f32],
    weights: &[f32],
    start: Start<'_>,
    y: &mut [f32],
) {
    let job = Job {
        path,
        steps,
        tiling,
        inputs,
        outputs,
        x,
        weights,
        zeros: &Scratch::zeros(inputs),
    };
    if tiling.shares_outputs() && outputs > GROUP {
        job.by_groups(start, y);
        return;
    }
    let bands = tiling.task_pixels() * outputs;
    let images = y.par_chunks_mut(tiling.images * tiling.pixels() * outputs);
    images.enumerate().for_each(|(image, y)| {
        y.par_chunks_mut(bands).enumerate().for_each(|(band, y)| {
            job.compute(image * tiling.bands() + band, 0..outputs, start, y);
        });
    });
}

/// A convolution, to be done in tasks.
struct Job<'a> {
    path: SimdPath,
    steps: &'a Steps,
    tiling: &'a Tiling,
    /// Padded channels.
    inputs: usize,
    outputs: usize,
    x: &'a [f32],
    weights: &'a [f32],
    /// A pixel outside the image.
    zeros: &'a [f32],
}

/// Outputs that are computed at a time, so that their products stay in the nearest cache until they are transformed
/// back.
const GROUP: usize = 3 * PANEL;

impl Job<'_> {
    /// Each task takes one group of outputs. All tasks of a group come one after the other: a thread that does several
    /// reads their weights once.
    fn by_groups(&self, start: Start<'_>, y: &mut [f32]) {
        let tiling = self.tiling;
        let part_len = tiling.task_pixels() * GROUP;
        let groups = self.outputs.div_ceil(GROUP);
        let mut parts = Scratch::take(groups * tiling.tasks() * part_len);
        parts
            .par_chunks_exact_mut(part_len)
            .enumerate()
            .for_each(|(index, part)| {
                let (group, task) = (index / tiling.tasks(), index % tiling.tasks());
                let outputs = group * GROUP..self.outputs.min((group + 1) * GROUP);
                self.compute(task, outputs, Start::ZERO, part);
            });
        let images = y.par_chunks_mut(tiling.images * tiling.pixels() * self.outputs);
        images.enumerate().for_each(|(image, y)| {
            let tasks = y.par_chunks_mut(tiling.task_pixels() * self.outputs).enumerate();
            tasks.for_each(|(band, y)| {
                let task = image * tiling.bands() + band;
                let parts = parts.chunks_exact(part_len).skip(task).step_by(tiling.tasks());
                join_groups(self.path, self.outputs, parts, start, y);
            });
        });
    }

    /// One task: transforms, multiplies and transforms back, for some of the outputs.
    fn compute(&self, task: usize, outputs: Range<usize>, start: Start<'_>, y: &mut [f32]) {
        let (path, steps, inputs) = (self.path, self.steps, self.inputs);
        let task = self.tiling.task(task);
        let tiles = Tiles {
            tiling: self.tiling,
            task,
            channels: inputs,
            stride: position_stride(task.tiles * inputs),
            zeros: self.zeros,
        };
        let transformed_len = steps.positions * tiles.stride;
        let mut room = Scratch::take(transformed_len + steps.positions * position_stride(task.tiles * GROUP));
        let (transformed, products) = room.split_at_mut(transformed_len);
        (steps.input)(path, &tiles, self.x, transformed);

        let reads: [u32; MOST_TILES] = std::array::from_fn(|tile| (tile * inputs) as u32);
        for first in outputs.clone().step_by(GROUP) {
            let width = GROUP.min(outputs.end - first);
            let writes: [u32; MOST_TILES] = std::array::from_fn(|tile| (tile * width) as u32);
            let stride = position_stride(task.tiles * width);
            let matrices = transformed
                .chunks_exact(tiles.stride)
                .zip(products.chunks_exact_mut(stride));
            for (position, (v, products)) in matrices.enumerate() {
                let weights = Panels {
                    values: &self.weights[(first * steps.positions + position * PANEL) * inputs..],
                    stride: steps.positions * inputs * PANEL,
                    count: width / PANEL,
                };
                // One round, but for wide images, of which a task takes at least a row of tiles.
                for tile in (0..task.tiles).step_by(MOST_TILES) {
                    let count = MOST_TILES.min(task.tiles - tile);
                    let rows = Rows {
                        depth: inputs,
                        taps: 1,
                        reads: &reads[..count],
                        writes: &writes[..count],
                        zeros: self.zeros,
                    };
                    let (v, products) = (&v[tile * inputs..], &mut products[tile * width..]);
                    multiply(path, &rows, v, weights, Start::ZERO, products);
                }
            }
            let products = Products {
                tiles: &tiles,
                values: products,
                stride,
                width,
                column: first - outputs.start,
                outputs: outputs.len(),
            };
            (steps.output)(path, &products, start.from(first), y);
        }
    }
}

/// Puts groups of outputs, `[pixel][outputs of the group]` each, side by side into `y`, `[pixel][outputs]`, and adds
/// what the sums start from: in the order in which a task without groups does.
fn join_groups<'a>(
    path: SimdPath,
    outputs: usize,
    groups: impl Iterator<Item = &'a [f32]>,
    start: Start<'_>,
    y: &mut [f32],
) {
    for (group, part) in groups.enumerate() {
        let first = group * GROUP;
        join_group(
            path,
            [outputs, first, GROUP.min(outputs - first)],
            part,
            start.from(first),
            y,
        );
    }
}

dispatch! {
    /// One group.
    fn join_group = join_group_pixels(columns: [usize; 3], part: &[f32], start: Start<'_>, y: &mut [f32])
}

#[inline(always)]
fn join_group_pixels<S: Simd>(
    simd: S,
    [outputs, first, width]: [usize; 3],
    part: &[f32],
    start: Start<'_>,
    y: &mut [f32],
) {
    for (y, part) in y.chunks_exact_mut(outputs).zip(part.chunks_exact(width)) {
        let y = &mut y[first..first + width];
        for channel in (0..width).step_by(S::LANES) {
            let y = &mut y[channel..channel + S::LANES];
            let before = start.vector(simd, channel, y);
            simd.store(simd.add(before, simd.load(&part[channel..])), y);
        }
    }
}
