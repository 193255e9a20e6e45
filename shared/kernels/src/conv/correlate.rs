//! The micro-kernel of the forward pass and of the input gradient.
//!
//! It computes `out[o][p] = start + sum over (i, tap) of weight[o][i][tap] * copies[i][offset(tap) + p]` for pixels p in a row, on an
//! image laid out as [`super::layout`] says. A tile of 8 outputs by 3 vectors of pixels stays in registers while the loop runs over
//! all inputs and taps: 24 multiply-adds for 3 loaded vectors and 8 loaded weights, so arithmetic and not memory sets the pace.

use super::pack::BLOCK;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch};
use rayon::prelude::*;

/// Vectors of pixels in a register tile.
const TILE_VECTORS: usize = 3;

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
    copies: &'a [f32],
    channels: usize,
    channel_len: usize,
    taps: &'a [usize],
    /// Pixels of an output channel.
    pixels: usize,
}

impl<'a> Inputs<'a> {
    /// Checks that all that a micro-kernel reads lies inside `copies`.
    pub(super) fn new(
        copies: &'a [f32],
        channels: usize,
        channel_len: usize,
        taps: &'a [usize],
        pixels: usize,
    ) -> Self {
        let last_tap = taps.iter().copied().max().unwrap_or(0);
        let end = (channels - 1) * channel_len + last_tap + pixels.next_multiple_of(MAX_LANES);
        assert!(
            end <= copies.len(),
            "inputs: expected at least {end} values, got {}",
            copies.len()
        );
        Self {
            copies,
            channels,
            channel_len,
            taps,
            pixels,
        }
    }

    /// Length of one block of packed weights.
    pub(super) fn weight_block(&self) -> usize {
        self.channels * self.taps.len() * BLOCK
    }
}

/// Computes all outputs, one slice of pixels each in `rows`, in parallel over the blocks.
pub(super) fn correlate(
    path: SimdPath,
    inputs: &Inputs,
    weights: &[f32],
    start: Start,
    rows: &mut [&mut [f32]],
) {
    let len = inputs.weight_block();
    rows.par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, rows)| {
            let start = start.part(block * BLOCK, rows.len());
            correlate_block(path, inputs, &weights[block * len..][..len], start, rows);
        });
}

dispatch! {
    /// Computes one block of outputs.
    pub(super) fn correlate_block = block(
        inputs: &Inputs, weights: &[f32], start: Start, rows: &mut [&mut [f32]],
    )
}

#[inline(always)]
fn block<S: Simd>(inputs: &Inputs, weights: &[f32], start: Start, rows: &mut [&mut [f32]]) {
    assert!(rows.len() <= BLOCK, "more outputs than a block has");
    assert!(
        rows.iter().all(|row| row.len() == inputs.pixels),
        "an output with another number of pixels"
    );
    assert!(
        weights.len() == inputs.weight_block(),
        "a block of weights has another size"
    );
    for (part, rows) in rows.chunks_mut(S::TILE_CHANNELS).enumerate() {
        let lane = part * S::TILE_CHANNELS;
        let start = start.part(lane, rows.len());
        // SAFETY: the checks above and in `Inputs::new` are what `tiles` asks for; a lane is below BLOCK.
        unsafe {
            if S::TILE_CHANNELS == 8 && rows.len() > 4 {
                tiles::<S, 8>(inputs, &weights[lane..], start, rows);
            } else {
                tiles::<S, 4>(inputs, &weights[lane..], start, rows);
            }
        }
    }
}

/// Cuts the pixels of up to `C` outputs into tiles.
///
/// # Safety
/// `weights` must hold a block from the first of the outputs on, and all rows have the pixels of the inputs.
#[inline(always)]
unsafe fn tiles<S: Simd, const C: usize>(
    inputs: &Inputs,
    weights: &[f32],
    start: Start,
    rows: &mut [&mut [f32]],
) {
    let len = rows[0].len();
    let mut pixel = 0;
    while pixel < len {
        let vectors = (len - pixel).div_ceil(S::LANES);
        // SAFETY: `pixel` is inside the rows, and a multiple of LANES.
        unsafe {
            match vectors {
                // Two tiles of 2 keep the arithmetic units busier than one of 3 and one of 1.
                2 | 4 => tile::<S, C, 2>(inputs, weights, start, pixel, rows),
                1 => tile::<S, C, 1>(inputs, weights, start, pixel, rows),
                _ => tile::<S, C, TILE_VECTORS>(inputs, weights, start, pixel, rows),
            }
        }
        pixel += S::LANES
            * if vectors == 4 {
                2
            } else {
                vectors.min(TILE_VECTORS)
            };
    }
}

/// One register tile: `C` outputs by `V` vectors of pixels. The last vector may hold fewer pixels than lanes.
///
/// # Safety
/// As for [`tiles`]; `pixel` must lie in the rows.
#[inline(always)]
unsafe fn tile<S: Simd, const C: usize, const V: usize>(
    inputs: &Inputs,
    weights: &[f32],
    start: Start,
    pixel: usize,
    rows: &mut [&mut [f32]],
) {
    let full = rows[0].len() - pixel >= V * S::LANES;
    // A tile that reaches past the rows' end works on a copy.
    let mut copy = [[0.0f32; TILE_VECTORS * MAX_LANES]; C];
    let mut targets = [std::ptr::null_mut::<f32>(); C];
    for (c, target) in targets.iter_mut().enumerate() {
        *target = if c < rows.len() && full {
            rows[c][pixel..].as_mut_ptr()
        } else {
            copy[c].as_mut_ptr()
        };
    }
    if !full {
        for (copy, row) in copy.iter_mut().zip(rows.iter()) {
            let rest = &row[pixel..];
            copy[..rest.len()].copy_from_slice(rest);
        }
        for (c, target) in targets.iter_mut().enumerate() {
            *target = copy[c].as_mut_ptr();
        }
    }
    // SAFETY: every target has room for V vectors: a full tile in its row, any other in `copy`.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; C];
        for c in 0..C {
            for v in 0..V {
                sums[c][v] = match start {
                    Start::Bias(bias) => S::splat(if c < bias.len() { bias[c] } else { 0.0 }),
                    Start::Existing => S::load(targets[c].add(v * S::LANES)),
                };
            }
        }
        accumulate::<S, C, V>(inputs, weights, pixel, &mut sums);
        for c in 0..C {
            for v in 0..V {
                S::store(targets[c].add(v * S::LANES), sums[c][v]);
            }
        }
    }
    if !full {
        for (copy, row) in copy.iter().zip(rows.iter_mut()) {
            let rest = &mut row[pixel..];
            rest.copy_from_slice(&copy[..rest.len()]);
        }
    }
}

/// The innermost loops.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
unsafe fn accumulate<S: Simd, const C: usize, const V: usize>(
    inputs: &Inputs,
    weights: &[f32],
    pixel: usize,
    sums: &mut [[S::Vector; V]; C],
) {
    let mut acc = *sums;
    let mut weight = weights.as_ptr();
    // SAFETY: `Inputs::new` checked the reads of all taps up to the last pixel rounded up to a vector; `weights` holds BLOCK floats for
    // each channel and tap, of which the first C are read. The pointer past the last of them is formed but never read.
    unsafe {
        for channel in 0..inputs.channels {
            let copies = inputs
                .copies
                .as_ptr()
                .add(channel * inputs.channel_len + pixel);
            for &tap in inputs.taps {
                let mut x = [S::splat(0.0); V];
                for v in 0..V {
                    x[v] = S::load(copies.add(tap + v * S::LANES));
                }
                for c in 0..C {
                    let w = S::splat(*weight.add(c));
                    for v in 0..V {
                        acc[c][v] = S::mul_add(w, x[v], acc[c][v]);
                    }
                }
                weight = weight.wrapping_add(BLOCK);
            }
        }
    }
    *sums = acc;
}
