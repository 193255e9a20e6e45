//! The gradient of the weights.
//!
//! ```text
//! dw[o][i][tap] += sum over images and pixels p of dy[o][p] * copies[offset(i, tap) + p]
//! ```
//!
//! The sum runs over pixels, so vectors of pixels would have to be summed across their lanes at the
//! end. Instead the outputs go into the vectors: dy is transposed to `[pixel][output]`, and a tile of
//! 8 rows (i, tap) by 3 vectors of outputs stays in registers over a chunk of pixels. For every pixel
//! it loads 3 vectors of dy and 8 single values of x.

use std::ops::Range;

use rayon::prelude::*;

use crate::conv::ConvShape;
use crate::conv::layout::Layout;
use crate::scratch::Scratch;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch};

/// Rows (input channel, tap) in a register tile. A path with fewer registers takes half.
const ROWS: usize = 8;
/// Vectors of outputs in a register tile.
const TILE_VECTORS: usize = 3;
/// Pixels in a chunk: its part of dy (128 pixels x 48 outputs, 24 KiB) stays in the first-level
/// cache while a task's rows pass over it.
const CHUNK: usize = 128;

/// Tasks that the input channels are shared out to, at most.
const TASKS: usize = 8;
/// Rows of a task, at least.
const LEAST_ROWS: usize = 16;

/// Adds the gradient of the weights to `dw`.
pub(super) fn weight_grad(path: SimdPath, shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let turned = TurnedGrad::new(shape, dy);
    let layout = Layout::forward(shape, 0..shape.out_height());
    let taps = shape.kernel * shape.kernel;
    // A task gathers the sums of some input channels, over all images and pixels in their order. So
    // no sum depends on how many tasks there are.
    let channels = channels_per_task(shape.c_in, taps);
    let sums_len = (channels * taps).next_multiple_of(ROWS) * turned.outputs;
    let mut sums = Scratch::zeros(shape.c_in.div_ceil(channels) * sums_len);
    sums.par_chunks_mut(sums_len).enumerate().for_each(|(task, sums)| {
        let channels = task * channels..shape.c_in.min((task + 1) * channels);
        add_channels(path, shape, &layout, channels, x, &turned, sums);
    });

    dw.par_chunks_mut(shape.c_in * taps).enumerate().for_each(|(o, dw)| {
        for (dw, sums) in dw.chunks_mut(channels * taps).zip(sums.chunks_exact(sums_len)) {
            for (dw, sums) in dw.iter_mut().zip(sums.chunks_exact(turned.outputs)) {
                *dw += sums[o];
            }
        }
    });
}

/// Input channels that one task gathers: enough tasks for the threads of today's machines, enough rows in each to make
/// good use of the pixels that it reads, and whole tiles of rows where there are enough channels. The sizes alone
/// decide, so the split is the same on every machine.
fn channels_per_task(channels: usize, taps: usize) -> usize {
    let share = channels.div_ceil(TASKS).max(LEAST_ROWS.div_ceil(taps));
    if share < ROWS {
        share
    } else {
        share.next_multiple_of(ROWS)
    }
}

/// The output's gradient as `[image][pixel][output]`.
struct TurnedGrad {
    values: Scratch,
    pixels: usize,
    /// Outputs, filled up with zeros to whole vectors.
    outputs: usize,
}

impl TurnedGrad {
    fn new(shape: &ConvShape, dy: &[f32]) -> Self {
        /// Pixels of a task: a few cache lines of each output.
        const BLOCK: usize = 64;
        let pixels = shape.out_pixels();
        let outputs = shape.c_out.next_multiple_of(MAX_LANES);
        let mut values = Scratch::take(shape.batch * pixels * outputs);
        let images = values
            .par_chunks_mut(pixels * outputs)
            .zip(dy.par_chunks(shape.c_out * pixels));
        images.for_each(|(turned, dy)| {
            let blocks = turned.par_chunks_mut(BLOCK * outputs).enumerate();
            blocks.for_each(|(block, turned)| {
                transpose(dy, pixels, block * BLOCK, outputs, turned);
            });
        });
        Self {
            values,
            pixels,
            outputs,
        }
    }

    fn images(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.pixels * self.outputs)
    }
}

/// Transposes the pixels from `first` on of one image, as many as there is room for in `turned`.
fn transpose(dy: &[f32], pixels: usize, first: usize, padded: usize, turned: &mut [f32]) {
    /// Outputs at a time: their values for one pixel are written at once.
    const GROUP: usize = 4;
    let outputs = dy.len() / pixels;
    for o in (0..padded).step_by(GROUP) {
        let pixels_out = turned.chunks_exact_mut(padded);
        if o + GROUP <= outputs {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| &dy[(o + i) * pixels + first..]);
            let values = a.iter().zip(b).zip(c).zip(d);
            for (pixel, (((a, b), c), d)) in pixels_out.zip(values) {
                pixel[o..o + GROUP].copy_from_slice(&[*a, *b, *c, *d]);
            }
        } else {
            for (p, pixel) in pixels_out.enumerate() {
                for i in o..o + GROUP {
                    pixel[i] = if i < outputs { dy[i * pixels + first + p] } else { 0.0 };
                }
            }
        }
    }
}

/// Gathers the sums of some input channels over the whole batch.
fn add_channels(
    path: SimdPath,
    shape: &ConvShape,
    layout: &Layout,
    channels: Range<usize>,
    x: &[f32],
    turned: &TurnedGrad,
    sums: &mut [f32],
) {
    let mut offsets = layout.offsets(channels.len());
    // Rows that fill up the last tile gather the first row's sums again, which nobody reads.
    offsets.resize(offsets.len().next_multiple_of(ROWS), 0);
    let pixels = shape.in_pixels();
    for (image, dy) in x.chunks_exact(shape.c_in * pixels).zip(turned.images()) {
        let copies = layout.expand(&image[channels.start * pixels..channels.end * pixels]);
        add_image(path, &copies, &offsets, dy, turned.outputs, sums);
    }
}

dispatch! {
    /// `sums[row][o] += sum over p of copies[offsets[row] + p] * dy[p][o]`
    fn add_image = add_chunks(
        copies: &[f32], offsets: &[usize], dy: &[f32], outputs: usize, sums: &mut [f32],
    )
}

#[inline(always)]
fn add_chunks<S: Simd>(simd: S, copies: &[f32], offsets: &[usize], dy: &[f32], outputs: usize, sums: &mut [f32]) {
    let pixels = dy.len() / outputs;
    for first in (0..pixels).step_by(CHUNK) {
        let chunk = Chunk {
            copies: &copies[first..],
            dy: &dy[first * outputs..],
            outputs,
            pixels: CHUNK.min(pixels - first),
        };
        let mut output = 0;
        while output < outputs {
            let width = ((outputs - output) / S::LANES).min(TILE_VECTORS);
            match width {
                1 => chunk.add_rows::<S, 1>(simd, offsets, output, sums),
                2 => chunk.add_rows::<S, 2>(simd, offsets, output, sums),
                _ => chunk.add_rows::<S, TILE_VECTORS>(simd, offsets, output, sums),
            }
            output += width * S::LANES;
        }
    }
}

/// A few pixels of one image.
struct Chunk<'a> {
    copies: &'a [f32],
    dy: &'a [f32],
    outputs: usize,
    pixels: usize,
}

impl Chunk<'_> {
    /// All rows, for `V` vectors of outputs from `output` on.
    #[inline(always)]
    fn add_rows<S: Simd, const V: usize>(&self, simd: S, offsets: &[usize], output: usize, sums: &mut [f32]) {
        let offsets = offsets.chunks_exact(S::TILE_CHANNELS);
        let sums = sums.chunks_exact_mut(S::TILE_CHANNELS * self.outputs);
        for (offsets, sums) in offsets.zip(sums) {
            if S::TILE_CHANNELS == 8 {
                self.add_tile::<S, 8, V>(simd, offsets, output, sums);
            } else {
                self.add_tile::<S, 4, V>(simd, offsets, output, sums);
            }
        }
    }

    /// One register tile: `R` rows by `V` vectors of outputs.
    #[inline(always)]
    fn add_tile<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        offsets: &[usize],
        output: usize,
        sums: &mut [f32],
    ) {
        let mut rows: [&[f32]; R] = [&[]; R];
        let mut acc = [[simd.splat(0.0); V]; R];
        for r in 0..R {
            rows[r] = &self.copies[offsets[r]..offsets[r] + self.pixels];
            for v in 0..V {
                acc[r][v] = simd.load(&sums[r * self.outputs + output + v * S::LANES..]);
            }
        }
        for (p, dy) in self.dy.chunks_exact(self.outputs).take(self.pixels).enumerate() {
            let dy = &dy[output..output + V * S::LANES];
            let mut d = [simd.splat(0.0); V];
            for v in 0..V {
                d[v] = simd.load(&dy[v * S::LANES..]);
            }
            for r in 0..R {
                let x = simd.splat(rows[r][p]);
                for v in 0..V {
                    acc[r][v] = simd.mul_add(x, d[v], acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(acc[r][v], &mut sums[r * self.outputs + output + v * S::LANES..]);
            }
        }
    }
}
