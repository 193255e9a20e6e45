//! The micro-kernel of the forward pass and of the input gradient.
//!
//! On an image laid out as [`super::layout`] says, it computes for neighbouring pixels p
//!
//! ```text
//! out[o][p] = start + sum over (i, tap) of weight[o][i][tap] * copies[offset(i, tap) + p]
//! ```
//!
//! A tile of 8 outputs by 3 vectors of pixels stays in registers while the loop runs over all inputs
//! and taps. Each step does 24 multiply-adds for 3 loaded vectors and 8 loaded weights, so that
//! arithmetic and not memory sets the pace.

use rayon::prelude::*;

use crate::conv::pack::BLOCK;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch};

/// What an output starts from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// Its bias: the output is overwritten.
    Bias(&'a [f32]),
    /// Its value: the output is added to.
    Existing,
}

impl Start<'_> {
    /// What outputs `first..first + count` start from.
    #[inline(always)]
    fn part(self, first: usize, count: usize) -> Self {
        match self {
            Start::Bias(bias) => Start::Bias(&bias[first..first + count]),
            Start::Existing => Start::Existing,
        }
    }
}

/// The laid out inputs of one image.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// All channels' copies.
    pub copies: &'a [f32],
    /// For each input channel and tap where its values for the output's first pixel are.
    pub offsets: &'a [usize],
    /// Pixels of the output.
    pub pixels: usize,
}

impl Inputs<'_> {
    /// Length of one block of packed weights.
    pub(super) fn weight_block(&self) -> usize {
        self.offsets.len() * BLOCK
    }
}

/// Computes all outputs, one slice of pixels each in `rows`, in parallel over the blocks.
pub(super) fn correlate(
    path: SimdPath,
    inputs: &Inputs<'_>,
    weights: &[f32],
    start: Start<'_>,
    rows: &mut [&mut [f32]],
) {
    let len = inputs.weight_block();
    rows.par_chunks_mut(BLOCK).enumerate().for_each(|(block, rows)| {
        let start = start.part(block * BLOCK, rows.len());
        correlate_block(path, inputs, &weights[block * len..][..len], start, rows);
    });
}

dispatch! {
    /// Computes one block of outputs.
    pub(super) fn correlate_block = block(
        inputs: &Inputs<'_>, weights: &[f32], start: Start<'_>, rows: &mut [&mut [f32]],
    )
}

#[inline(always)]
fn block<S: Simd>(simd: S, inputs: &Inputs<'_>, weights: &[f32], start: Start<'_>, rows: &mut [&mut [f32]]) {
    assert!(
        weights.len() == inputs.weight_block(),
        "a block of weights has another size"
    );
    for (part, rows) in rows.chunks_mut(S::TILE_CHANNELS).enumerate() {
        let lane = part * S::TILE_CHANNELS;
        let start = start.part(lane, rows.len());
        if S::TILE_CHANNELS == 8 && rows.len() > 4 {
            tiles::<S, 8>(simd, inputs, weights, lane, start, rows);
        } else {
            tiles::<S, 4>(simd, inputs, weights, lane, start, rows);
        }
    }
}

/// Cuts the pixels of up to `C` outputs, which are lanes `lane..` of their block, into tiles.
#[inline(always)]
fn tiles<S: Simd, const C: usize>(
    simd: S,
    inputs: &Inputs<'_>,
    weights: &[f32],
    lane: usize,
    start: Start<'_>,
    rows: &mut [&mut [f32]],
) {
    let mut pixel = 0;
    while pixel < inputs.pixels {
        let vectors = (inputs.pixels - pixel).div_ceil(S::LANES);
        // Of four vectors, two tiles of 2 keep the arithmetic units busier than one of 3 and one of
        // 1.
        let width = if vectors == 4 { 2 } else { vectors.min(S::PIXEL_VECTORS) };
        match width {
            1 => tile::<S, C, 1>(simd, inputs, weights, lane, start, pixel, rows),
            2 => tile::<S, C, 2>(simd, inputs, weights, lane, start, pixel, rows),
            _ => tile::<S, C, 3>(simd, inputs, weights, lane, start, pixel, rows),
        }
        pixel += width * S::LANES;
    }
}

/// One register tile: `C` outputs by `V` vectors of pixels. The last vector may reach past the last
/// pixel.
#[inline(always)]
fn tile<S: Simd, const C: usize, const V: usize>(
    simd: S,
    inputs: &Inputs<'_>,
    weights: &[f32],
    lane: usize,
    start: Start<'_>,
    pixel: usize,
    rows: &mut [&mut [f32]],
) {
    let mut sums = [[simd.splat(0.0); V]; C];
    for (c, (sums, row)) in sums.iter_mut().zip(rows.iter()).enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = match start {
                Start::Bias(bias) => simd.splat(bias[c]),
                Start::Existing => load_part(simd, row, pixel + v * S::LANES),
            };
        }
    }
    accumulate(simd, inputs, weights, lane, pixel, &mut sums);
    for (sums, row) in sums.iter().zip(rows.iter_mut()) {
        for (v, sum) in sums.iter().enumerate() {
            store_part(simd, *sum, row, pixel + v * S::LANES);
        }
    }
}

/// The innermost loops. Slices are checked once per tap, which costs nothing beside 24
/// multiply-adds.
#[inline(always)]
fn accumulate<S: Simd, const C: usize, const V: usize>(
    simd: S,
    inputs: &Inputs<'_>,
    weights: &[f32],
    lane: usize,
    pixel: usize,
    sums: &mut [[S::Vector; V]; C],
) {
    // A local copy, which the compiler keeps in registers.
    let mut acc = *sums;
    let copies = &inputs.copies[pixel..];
    for (weights, &offset) in weights.as_chunks::<BLOCK>().0.iter().zip(inputs.offsets) {
        let weights = &weights[lane..lane + C];
        let pixels = &copies[offset..offset + V * S::LANES];
        let mut x = [simd.splat(0.0); V];
        for v in 0..V {
            x[v] = simd.load(&pixels[v * S::LANES..]);
        }
        for c in 0..C {
            let weight = simd.splat(weights[c]);
            for v in 0..V {
                acc[c][v] = simd.mul_add(weight, x[v], acc[c][v]);
            }
        }
    }
    *sums = acc;
}

/// A vector from `row[first..]`, filled up with zeros past the row's end.
#[inline(always)]
fn load_part<S: Simd>(simd: S, row: &[f32], first: usize) -> S::Vector {
    if first + S::LANES <= row.len() {
        return simd.load(&row[first..]);
    }
    let mut part = [0.0; MAX_LANES];
    let rest = &row[first..];
    part[..rest.len()].copy_from_slice(rest);
    simd.load(&part)
}

/// Writes a vector to `row[first..]`, but for what would lie past the row's end.
#[inline(always)]
fn store_part<S: Simd>(simd: S, vector: S::Vector, row: &mut [f32], first: usize) {
    if first + S::LANES <= row.len() {
        return simd.store(vector, &mut row[first..]);
    }
    let mut part = [0.0; MAX_LANES];
    simd.store(vector, &mut part);
    let rest = &mut row[first..];
    rest.copy_from_slice(&part[..rest.len()]);
}
