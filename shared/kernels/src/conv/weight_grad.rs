//! The gradient of the weights.
//!
//! `dw[o][i][tap] += sum over images and pixels p of dy[o][p] * copies[i][offset(tap) + p]`. The sum runs over pixels, so
//! vectors of pixels would have to be summed across their lanes at the end. Instead the outputs go into the vectors: dy is
//! transposed to `[pixel][output]`, and a tile of 8 rows (i, tap) by 3 vectors of outputs stays in registers over a chunk of
//! pixels. For every pixel it loads 3 vectors of dy and 8 single values of x.

use super::ConvShape;
use super::layout::Layout;
use crate::scratch::Scratch;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch};
use rayon::prelude::*;

/// Sums (input channel, tap) that one register tile gathers for its outputs. A path with fewer registers takes half.
const ROWS: usize = 8;
/// Vectors of outputs in a register tile.
const TILE_VECTORS: usize = 3;
/// Pixels in a chunk: its part of dy (128 pixels x 48 outputs, 24 KiB) stays in the first-level cache while a task's rows pass
/// over it.
const CHUNK: usize = 128;

pub(super) fn weight_grad(
    path: SimdPath,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let pixels = shape.out_pixels();
    let outputs = shape.c_out.next_multiple_of(MAX_LANES);
    let mut turned = Scratch::take(shape.batch * pixels * outputs);
    transpose(dy, shape.c_out, pixels, outputs, &mut turned);

    // A task gathers the sums of some input channels, over all images and pixels in their order. So no sum depends on how many
    // tasks there are.
    let layout = Layout::forward(shape, 0..shape.out_height());
    let taps = layout.taps.len();
    let channels = channels_per_task(shape.c_in);
    let rows = (channels * taps).next_multiple_of(ROWS);
    let mut sums = Scratch::zeros(shape.c_in.div_ceil(channels) * rows * outputs);
    sums.par_chunks_mut(rows * outputs)
        .enumerate()
        .for_each(|(task, sums)| {
            let channels = task * channels..shape.c_in.min((task + 1) * channels);
            add_channels(path, shape, &layout, channels, x, &turned, outputs, sums);
        });

    dw.par_chunks_mut(shape.c_in * taps)
        .enumerate()
        .for_each(|(o, dw)| {
            for (dw, sums) in dw
                .chunks_mut(channels * taps)
                .zip(sums.chunks_exact(rows * outputs))
            {
                for (dw, sums) in dw.iter_mut().zip(sums.chunks_exact(outputs)) {
                    *dw += sums[o];
                }
            }
        });
}

/// Enough tasks for the threads, but whole blocks of rows where there are enough channels.
fn channels_per_task(channels: usize) -> usize {
    let share = channels.div_ceil(2 * rayon::current_num_threads());
    if share < ROWS {
        share
    } else {
        share.next_multiple_of(ROWS)
    }
}

/// `[image][output][pixel]` to `[image][pixel][output]`, the outputs filled up with zeros to `padded`.
fn transpose(dy: &[f32], outputs: usize, pixels: usize, padded: usize, turned: &mut [f32]) {
    /// Pixels of a task: a few cache lines of each output.
    const BLOCK: usize = 64;
    let images = turned
        .par_chunks_mut(pixels * padded)
        .zip(dy.par_chunks(outputs * pixels));
    images.for_each(|(turned, dy)| {
        turned
            .par_chunks_mut(BLOCK * padded)
            .enumerate()
            .for_each(|(block, turned)| {
                transpose_block(dy, pixels, block * BLOCK, padded, turned);
            });
    });
}

/// Pixels from `first` on of one image, as many as there is room for in `turned`.
fn transpose_block(dy: &[f32], pixels: usize, first: usize, padded: usize, turned: &mut [f32]) {
    let count = turned.len() / padded;
    let outputs = dy.len() / pixels;
    for o in 0..outputs {
        let row = &dy[o * pixels + first..][..count];
        for (to, from) in turned[o..].iter_mut().step_by(padded).zip(row) {
            *to = *from;
        }
    }
    for pixel in turned.chunks_exact_mut(padded) {
        pixel[outputs..].fill(0.0);
    }
}

/// Gathers the sums of some input channels over the whole batch.
#[allow(clippy::too_many_arguments)]
fn add_channels(
    path: SimdPath,
    shape: &ConvShape,
    layout: &Layout,
    channels: std::ops::Range<usize>,
    x: &[f32],
    turned: &[f32],
    outputs: usize,
    sums: &mut [f32],
) {
    let offset = |channel| {
        layout
            .taps
            .iter()
            .map(move |tap| channel * layout.channel_len + tap)
    };
    let mut offsets: Vec<usize> = (0..channels.len()).flat_map(offset).collect();
    // Rows that fill up the last block gather the first row's sums again, which nobody reads.
    offsets.resize(offsets.len().next_multiple_of(ROWS), 0);
    let sums = &mut sums[..offsets.len() * outputs];

    let in_pixels = shape.in_pixels();
    let images = x.chunks_exact(shape.c_in * in_pixels);
    for (image, turned) in images.zip(turned.chunks_exact(shape.out_pixels() * outputs)) {
        let copies = layout.expand(&image[channels.start * in_pixels..channels.end * in_pixels]);
        add_image(path, &copies, &offsets, turned, outputs, sums);
    }
}

dispatch! {
    /// `sums[row][o] += sum over p of copies[offsets[row] + p] * dy[p][o]`
    fn add_image = add_image_generic(
        copies: &[f32], offsets: &[usize], dy: &[f32], outputs: usize, sums: &mut [f32],
    )
}

#[inline(always)]
fn add_image_generic<S: Simd>(
    copies: &[f32],
    offsets: &[usize],
    dy: &[f32],
    outputs: usize,
    sums: &mut [f32],
) {
    let pixels = dy.len() / outputs;
    let last = offsets.iter().copied().max().unwrap_or(0);
    assert!(last + pixels <= copies.len(), "the copies are too short");
    assert!(outputs.is_multiple_of(MAX_LANES), "outputs are not padded");
    assert!(
        sums.len() == offsets.len() * outputs,
        "the sums have another size"
    );
    for first in (0..pixels).step_by(CHUNK) {
        let count = CHUNK.min(pixels - first);
        let mut output = 0;
        while output < outputs {
            let vectors = ((outputs - output) / S::LANES).min(TILE_VECTORS);
            for (block, offsets) in offsets.chunks_exact(S::TILE_CHANNELS).enumerate() {
                // SAFETY: offset + pixel lies inside the copies, pixels x outputs inside dy and rows x outputs inside the sums, as
                // asserted above; `vectors` is at most what is left of the outputs.
                unsafe {
                    let x = copies.as_ptr().add(first);
                    let dy = dy.as_ptr().add(first * outputs + output);
                    let sums = sums
                        .as_mut_ptr()
                        .add(block * S::TILE_CHANNELS * outputs + output);
                    match vectors {
                        1 => tile_rows::<S, 1>(x, offsets, dy, outputs, count, sums),
                        2 => tile_rows::<S, 2>(x, offsets, dy, outputs, count, sums),
                        _ => tile_rows::<S, TILE_VECTORS>(x, offsets, dy, outputs, count, sums),
                    }
                }
            }
            output += vectors * S::LANES;
        }
    }
}

/// A tile of as many rows as the path's registers hold.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn tile_rows<S: Simd, const V: usize>(
    x: *const f32,
    offsets: &[usize],
    dy: *const f32,
    outputs: usize,
    pixels: usize,
    sums: *mut f32,
) {
    // SAFETY: passed on to the caller.
    unsafe {
        if S::TILE_CHANNELS == 8 {
            tile::<S, 8, V>(x, offsets, dy, outputs, pixels, sums);
        } else {
            tile::<S, 4, V>(x, offsets, dy, outputs, pixels, sums);
        }
    }
}

/// `sums[r][v] += sum over pixels p of x[offsets[r] + p] * dy[p][v]` for R rows and V vectors of outputs.
///
/// # Safety
/// For each of R offsets `x + offset` must be valid for `pixels` reads, `dy` for `pixels` times V vectors at distance
/// `outputs`, and `sums` for R times V vectors at the same distance.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    x: *const f32,
    offsets: &[usize],
    dy: *const f32,
    outputs: usize,
    pixels: usize,
    sums: *mut f32,
) {
    // SAFETY: all pointers stay in the ranges that the caller vouches for.
    unsafe {
        let mut rows = [x; R];
        let mut acc = [[S::splat(0.0); V]; R];
        for r in 0..R {
            rows[r] = x.add(offsets[r]);
            for v in 0..V {
                acc[r][v] = S::load(sums.add(r * outputs + v * S::LANES));
            }
        }
        for p in 0..pixels {
            let mut d = [S::splat(0.0); V];
            for v in 0..V {
                d[v] = S::load(dy.add(p * outputs + v * S::LANES));
            }
            for r in 0..R {
                let x = S::splat(*rows[r].add(p));
                for v in 0..V {
                    acc[r][v] = S::mul_add(x, d[v], acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                S::store(sums.add(r * outputs + v * S::LANES), acc[r][v]);
            }
        }
    }
}
