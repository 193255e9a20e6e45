//! The micro-kernel of the weight gradient: a sum of outer products, kept in registers.
//!
//! ```text
//! sums[c][o] += sum over pixels p of x[p][c] * dy[p][o]
//! ```
//!
//! Its tiles are those of [`super::tile`], with channels of x in place of rows.

use crate::conv::tile::{PANEL, even_share, with_rows};
use crate::simd::{Simd, dispatch};

/// Pixels that lie at even distances in two images.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// Where in `x` the first pixel starts.
    pub x: usize,
    /// Where in `dy` the first pixel starts.
    pub dy: usize,
    pub count: usize,
}

/// The pixels that a weight gradient sums over.
pub(super) struct Pixels<'a> {
    pub x: &'a [f32],
    /// Floats from a pixel of `x` to the next.
    pub x_step: usize,
    pub dy: &'a [f32],
    /// Floats from a pixel of `dy` to the next: its channels, a multiple of [`PANEL`].
    pub dy_step: usize,
    pub segments: &'a [Segment],
}

dispatch! {
    /// Adds to `sums`, `[channels][dy_step]`, the products of channels `first..` of x with all of dy.
    pub(super) fn add_outer = outer_panels(pixels: &Pixels<'_>, first: usize, sums: &mut [f32])
}

#[inline(always)]
fn outer_panels<S: Simd>(simd: S, pixels: &Pixels<'_>, first: usize, sums: &mut [f32]) {
    let panels = pixels.dy_step / PANEL;
    let mut panel = 0;
    while panel < panels {
        let width = even_share(panels - panel, S::TILE_PANELS);
        match (S::LANES, width) {
            (16, 1) => outer_rows::<S, 1>(simd, pixels, first, panel * PANEL, sums),
            (16, 2) => outer_rows::<S, 2>(simd, pixels, first, panel * PANEL, sums),
            (16, _) => outer_rows::<S, 3>(simd, pixels, first, panel * PANEL, sums),
            (8, _) => outer_rows::<S, 2>(simd, pixels, first, panel * PANEL, sums),
            _ => outer_rows::<S, 4>(simd, pixels, first, panel * PANEL, sums),
        }
        panel += width;
    }
}

#[inline(always)]
fn outer_rows<S: Simd, const V: usize>(simd: S, pixels: &Pixels<'_>, first: usize, output: usize, sums: &mut [f32]) {
    let channels = sums.len() / pixels.dy_step;
    let mut channel = 0;
    while channel < channels {
        let count = even_share(channels - channel, S::TILE_ROWS);
        let sums = &mut sums[channel * pixels.dy_step..];
        with_rows!(S, count, outer_tile::<V>(simd, pixels, first + channel, output, sums));
        channel += count;
    }
}

/// One register tile: `R` channels of x by `V` vectors of dy.
#[inline(always)]
fn outer_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    pixels: &Pixels<'_>,
    channel: usize,
    output: usize,
    sums: &mut [f32],
) {
    let mut acc = [[simd.splat(0.0); V]; R];
    for (acc, sums) in acc.iter_mut().zip(sums.chunks_exact(pixels.dy_step)) {
        for (v, acc) in acc.iter_mut().enumerate() {
            *acc = simd.load(&sums[output + v * S::LANES..]);
        }
    }
    for segment in pixels.segments {
        let x = pixels.x[segment.x..].chunks(pixels.x_step);
        let dy = pixels.dy[segment.dy..].chunks(pixels.dy_step);
        for (x, dy) in x.zip(dy).take(segment.count) {
            let x = &x[channel..channel + R];
            let dy = &dy[output..output + V * S::LANES];
            let mut d = [simd.splat(0.0); V];
            for v in 0..V {
                d[v] = simd.load(&dy[v * S::LANES..]);
            }
            for r in 0..R {
                let value = simd.splat(x[r]);
                for v in 0..V {
                    acc[r][v] = simd.mul_add(value, d[v], acc[r][v]);
                }
            }
        }
    }
    for (acc, sums) in acc.iter().zip(sums.chunks_exact_mut(pixels.dy_step)) {
        for (v, acc) in acc.iter().enumerate() {
            simd.store(*acc, &mut sums[output + v * S::LANES..]);
        }
    }
}
