//! The gradient of the weights.
//!
//! `dw[o][i][tap] += sum over images and pixels p of dy[o][p] * copies[i][offset(tap) + p]`. The sum runs over pixels, so pixels in vectors would
//! have to be summed across lanes at the end. Instead the outputs go into the vectors: dy is transposed to `[pixel][output]`, and a
//! tile of 8 rows (i, tap) by 3 vectors of outputs stays in registers over a chunk of pixels. For every pixel it loads 3 vectors of dy
//! and 8 single values of x.

use super::ConvShape;
use super::layout::Layout;
use crate::scratch::Scratch;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch};
use rayon::prelude::*;

/// Rows (input channel, tap) in a block.
const ROWS: usize = 8;
/// Vectors of outputs in a register tile.
const TILE_VECTORS: usize = 3;
/// Pixels in a chunk: its part of dy (128 pixels x 48 outputs, 24 KiB) stays in the first-level cache while all rows pass over it.
const CHUNK: usize = 128;
/// Floats of copies and of transposed dy that are prepared at a time.
const GROUP_LEN: usize = 1 << 20;

/// The sizes that the inner functions need.
struct Sizes<'a> {
    /// Offsets in an image's copies of all rows (input channel, tap), padded to whole blocks.
    offsets: &'a [usize],
    pixels: usize,
    /// Outputs, padded to whole vectors.
    outputs: usize,
    image_len: usize,
}

pub(super) fn weight_grad(
    path: SimdPath,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let layout = Layout::forward(shape);
    let rows = shape.c_in * layout.taps.len();
    let mut offsets: Vec<usize> = (0..shape.c_in)
        .flat_map(|c| layout.taps.iter().map(move |tap| (c, tap)))
        .map(|(c, tap)| c * layout.channel_len + tap)
        .collect();
    // Rows that fill up the last block repeat the first; what they gather is dropped.
    offsets.resize(rows.next_multiple_of(ROWS), 0);
    let sizes = Sizes {
        offsets: &offsets,
        pixels: shape.out_height() * shape.out_width(),
        outputs: shape.c_out.next_multiple_of(MAX_LANES),
        image_len: layout.image_len(shape.c_in),
    };

    let mut sums = Scratch::zeros(offsets.len() * sizes.outputs);
    let (x_len, dy_len) = (
        shape.c_in * shape.height * shape.width,
        shape.c_out * sizes.pixels,
    );
    let group =
        (GROUP_LEN / (sizes.image_len + sizes.pixels * sizes.outputs)).clamp(1, shape.batch.max(1));
    let mut copies = Scratch::take(group * sizes.image_len);
    let mut transposed = Scratch::take(group * sizes.pixels * sizes.outputs);
    for (x, dy) in x.chunks(group * x_len).zip(dy.chunks(group * dy_len)) {
        let images = x.len() / x_len;
        let copies = &mut copies[..images * sizes.image_len];
        let transposed = &mut transposed[..images * sizes.pixels * sizes.outputs];
        copies
            .par_chunks_mut(sizes.image_len)
            .zip(x.par_chunks(x_len))
            .for_each(|(copies, x)| layout.expand_into(x, copies));
        transpose(shape.c_out, &sizes, dy, transposed);
        add_group(path, &sizes, copies, transposed, &mut sums);
    }
    add_transposed(&sums, sizes.outputs, rows, dw);
}

/// `[image][output][pixel]` to `[image][pixel][output padded with zeros]`.
fn transpose(c_out: usize, sizes: &Sizes, dy: &[f32], transposed: &mut [f32]) {
    const PIXELS: usize = 16;
    let (pixels, outputs) = (sizes.pixels, sizes.outputs);
    let images = transposed
        .par_chunks_mut(pixels * outputs)
        .zip(dy.par_chunks(c_out * pixels));
    images.for_each(|(transposed, dy)| {
        transposed
            .par_chunks_mut(8 * PIXELS * outputs)
            .enumerate()
            .for_each(|(part, transposed)| {
                for (block, transposed) in transposed.chunks_mut(PIXELS * outputs).enumerate() {
                    let first = (part * 8 + block) * PIXELS;
                    for o in 0..c_out {
                        let row = &dy[o * pixels + first..(o + 1) * pixels];
                        for (to, from) in transposed[o..].iter_mut().step_by(outputs).zip(row) {
                            *to = *from;
                        }
                    }
                    for pixel in transposed.chunks_exact_mut(outputs) {
                        pixel[c_out..].fill(0.0);
                    }
                }
            });
    });
}

/// `dw[o][row] += sums[row][o]`.
fn add_transposed(sums: &[f32], outputs: usize, rows: usize, dw: &mut [f32]) {
    const BLOCK: usize = 16;
    dw.par_chunks_mut(BLOCK * rows)
        .enumerate()
        .for_each(|(block, dw)| {
            for first in (0..rows).step_by(BLOCK) {
                let last = (first + BLOCK).min(rows);
                for (o, dw) in dw.chunks_exact_mut(rows).enumerate() {
                    let sums = sums[first * outputs + block * BLOCK + o..]
                        .iter()
                        .step_by(outputs);
                    for (dw, sum) in dw[first..last].iter_mut().zip(sums) {
                        *dw += sum;
                    }
                }
            }
        });
}

/// Adds a group of images to the sums, in parallel over the rows. Each sum gathers the images and pixels in their order, whatever the threads.
fn add_group(path: SimdPath, sizes: &Sizes, copies: &[f32], dy: &[f32], sums: &mut [f32]) {
    let blocks = sizes.offsets.len() / ROWS;
    let blocks_per_task = blocks.div_ceil(4 * rayon::current_num_threads());
    let tasks = sums.par_chunks_mut(blocks_per_task * ROWS * sizes.outputs);
    tasks
        .zip(sizes.offsets.par_chunks(blocks_per_task * ROWS))
        .for_each(|(sums, offsets)| {
            let images = copies
                .chunks_exact(sizes.image_len)
                .zip(dy.chunks_exact(sizes.pixels * sizes.outputs));
            for (copies, dy) in images {
                add_image(path, sizes, copies, dy, offsets, sums);
            }
        });
}

dispatch! {
    fn add_image = add_image_generic(sizes: &Sizes, copies: &[f32], dy: &[f32], offsets: &[usize], sums: &mut [f32])
}

#[inline(always)]
fn add_image_generic<S: Simd>(
    sizes: &Sizes,
    copies: &[f32],
    dy: &[f32],
    offsets: &[usize],
    sums: &mut [f32],
) {
    let outputs = sizes.outputs;
    let last = offsets.iter().copied().max().unwrap_or(0);
    assert!(last + sizes.pixels <= copies.len(), "copies too short");
    assert!(
        dy.len() == sizes.pixels * outputs,
        "transposed dy has another size"
    );
    assert!(
        sums.len() == offsets.len() * outputs && outputs.is_multiple_of(MAX_LANES),
        "sums have another size"
    );
    for first in (0..sizes.pixels).step_by(CHUNK) {
        let pixels = CHUNK.min(sizes.pixels - first);
        let mut output = 0;
        while output < outputs {
            let vectors = ((outputs - output) / S::LANES).min(TILE_VECTORS);
            for (row, offsets) in offsets.chunks_exact(S::TILE_CHANNELS).enumerate() {
                // SAFETY: offsets + pixels lie inside the copies, pixels x outputs inside dy, and rows x outputs inside the
                // sums, as the assertions say; `vectors` is what is left of the outputs at most.
                unsafe {
                    let x = copies.as_ptr().add(first);
                    let dy = dy.as_ptr().add(first * outputs + output);
                    let sums = sums
                        .as_mut_ptr()
                        .add(row * S::TILE_CHANNELS * outputs + output);
                    match vectors {
                        1 => rows_tile::<S, 1>(x, offsets, dy, outputs, pixels, sums),
                        2 => rows_tile::<S, 2>(x, offsets, dy, outputs, pixels, sums),
                        _ => rows_tile::<S, TILE_VECTORS>(x, offsets, dy, outputs, pixels, sums),
                    }
                }
            }
            output += vectors * S::LANES;
        }
    }
}

#[inline(always)]
unsafe fn rows_tile<S: Simd, const V: usize>(
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
/// `x + offset` must be valid for `pixels` reads for each of R offsets, `dy` for `pixels` rows of V vectors at distance `outputs`, and `sums` for R
/// such rows.
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
