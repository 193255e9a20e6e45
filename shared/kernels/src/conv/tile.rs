//! The micro-kernel of the forward pass and the input gradient: a small matrix product with its sums in registers.
//!
//! ```text
//! out[row][o] = start + sum over taps and channels c of x[row's pixel of the tap][c] * weights[tap][c][o]
//! ```
//!
//! A tile is a few rows by a few panels of 16 outputs, as many as the registers hold: 8 x 48 with AVX-512, 6 x 16 with
//! AVX2. Each step of its loop does rows x vectors multiply-adds for one loaded vector a panel's vector and one
//! value a row, so that arithmetic and not memory sets the pace. All memory is read in the order in which it lies.

use crate::channels_last::{Onto, blocks};
use crate::simd::{MAX_LANES, Simd, dispatch};

/// Outputs in a panel of packed weights: one, two or four vectors, so that packing does not depend on the path.
pub(super) const PANEL: usize = MAX_LANES;

/// Weights that are not in the nearest cache yet come in while others are used: so many floats lie between.
const AHEAD: usize = 32 * PANEL;

/// Rows of the largest tile of any path.
const MOST_ROWS: usize = 8;

/// Stands for the offset of a pixel outside the image, which is zero.
pub(super) const OUTSIDE: u32 = u32::MAX;

/// The rows of a product and where they are in memory.
pub(super) struct Rows<'a> {
    /// Channels of a pixel, a multiple of [`PANEL`].
    pub depth: usize,
    /// Pixels that each row reads.
    pub taps: usize,
    /// `[row][tap]`: where in `x` the pixel starts, or [`OUTSIDE`].
    pub reads: &'a [u32],
    /// `[row]`: where in `out` the row's first output is.
    pub writes: &'a [u32],
    /// What a pixel outside the image holds: `depth` zeros.
    pub zeros: &'a [f32],
}

impl<'a> Rows<'a> {
    /// The channels of one pixel.
    #[inline(always)]
    fn pixel(&self, x: &'a [f32], row: usize, tap: usize) -> &'a [[f32; PANEL]] {
        let pixel = match self.reads[row * self.taps + tap] {
            OUTSIDE => &self.zeros[..self.depth],
            start => &x[start as usize..][..self.depth],
        };
        blocks(pixel)
    }
}

/// Packed weights of some panels: panel p is `values[p * stride..]`, `[tap][channel][PANEL]`.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    pub count: usize,
}

/// What a sum starts from: the bias of its output, if there is one, and the output's value, if it is added to.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    /// Padded to whole panels.
    pub bias: Option<&'a [f32]>,
    pub onto: Onto,
}

impl Start<'_> {
    /// Nothing: the output is overwritten.
    pub(super) const ZERO: Self = Self {
        bias: None,
        onto: Onto::Overwrite,
    };

    /// For the outputs from `first` on.
    #[inline(always)]
    pub(super) fn from(self, first: usize) -> Self {
        Self {
            bias: self.bias.map(|bias| &bias[first..]),
            ..self
        }
    }

    /// The vector that the outputs from `first` on start from, whose values are `existing` at present.
    #[inline(always)]
    pub(super) fn vector<S: Simd>(self, simd: S, first: usize, existing: &[f32]) -> S::Vector {
        let bias = match self.bias {
            Some(bias) => simd.load(&bias[first..]),
            None => simd.splat(0.0),
        };
        match self.onto {
            Onto::Overwrite => bias,
            Onto::Add => simd.add(bias, simd.load(existing)),
        }
    }
}

/// How many of the next `rest` things to take at once, at most `most`: shared out evenly, as a tile of few is slow (16
/// are 6 + 5 + 5, not 6 + 6 + 4).
#[inline(always)]
pub(super) fn even_share(rest: usize, most: usize) -> usize {
    rest.div_ceil(rest.div_ceil(most))
}

dispatch! {
    /// The product of all rows with all panels.
    pub(super) fn multiply = multiply_panels(
        rows: &Rows<'_>, x: &[f32], weights: Panels<'_>, start: Start<'_>, out: &mut [f32],
    )
}

#[inline(always)]
fn multiply_panels<S: Simd>(
    simd: S,
    rows: &Rows<'_>,
    x: &[f32],
    weights: Panels<'_>,
    start: Start<'_>,
    out: &mut [f32],
) {
    let mut panel = 0;
    while panel < weights.count {
        let width = even_share(weights.count - panel, S::TILE_PANELS);
        let panels = &weights.values[panel * weights.stride..];
        let (first, start) = (panel * PANEL, start.from(panel * PANEL));
        match (S::LANES, width) {
            (16, 1) => all_rows::<S, 1, 1>(simd, rows, x, panels, weights.stride, first, start, out),
            (16, 2) => all_rows::<S, 2, 2>(simd, rows, x, panels, weights.stride, first, start, out),
            (16, _) => all_rows::<S, 3, 3>(simd, rows, x, panels, weights.stride, first, start, out),
            (8, _) => all_rows::<S, 1, 2>(simd, rows, x, panels, weights.stride, first, start, out),
            _ => all_rows::<S, 1, 4>(simd, rows, x, panels, weights.stride, first, start, out),
        }
        panel += width;
    }
}

/// Calls `$f::<S, R, ...>` with the number of rows that `$rows` says, which a tile of the path has room for.
macro_rules! with_rows {
    ($simd:ident, $rows:expr, $f:ident::<$($const:ident),*>($($arg:expr),* $(,)?)) => {
        match $rows {
            1 => $f::<$simd, 1, $($const),*>($($arg),*),
            2 => $f::<$simd, 2, $($const),*>($($arg),*),
            3 if $simd::TILE_ROWS > 2 => $f::<$simd, 3, $($const),*>($($arg),*),
            4 if $simd::TILE_ROWS > 2 => $f::<$simd, 4, $($const),*>($($arg),*),
            5 if $simd::TILE_ROWS > 2 => $f::<$simd, 5, $($const),*>($($arg),*),
            6 if $simd::TILE_ROWS > 2 => $f::<$simd, 6, $($const),*>($($arg),*),
            7 if $simd::TILE_ROWS > 6 => $f::<$simd, 7, $($const),*>($($arg),*),
            8 if $simd::TILE_ROWS > 6 => $f::<$simd, 8, $($const),*>($($arg),*),
            rows => unreachable!("no tile has {rows} rows"),
        }
    };
}

pub(super) use with_rows;

/// All rows with `P` panels, which are `V` vectors.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn all_rows<S: Simd, const P: usize, const V: usize>(
    simd: S,
    rows: &Rows<'_>,
    x: &[f32],
    panels: &[f32],
    stride: usize,
    first: usize,
    start: Start<'_>,
    out: &mut [f32],
) {
    let len = rows.taps * rows.depth * PANEL;
    let mut parts: [&[f32]; P] = [&[]; P];
    for (p, part) in parts.iter_mut().enumerate() {
        *part = &panels[p * stride..][..len];
    }
    // Room for the sums of a tile, made once: Rust would fill it with zeros for each.
    let mut sums = [[simd.splat(0.0); V]; MOST_ROWS];
    let mut row = 0;
    while row < rows.writes.len() {
        let count = even_share(rows.writes.len() - row, S::TILE_ROWS);
        with_rows!(
            S,
            count,
            tile::<P, V>(simd, rows, row, x, &parts, first, start, &mut sums, out)
        );
        row += count;
    }
}

/// One register tile: rows `row..row + R` with `P` panels.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn tile<S: Simd, const R: usize, const P: usize, const V: usize>(
    simd: S,
    rows: &Rows<'_>,
    row: usize,
    x: &[f32],
    panels: &[&[f32]; P],
    first: usize,
    start: Start<'_>,
    sums: &mut [[S::Vector; V]; MOST_ROWS],
    out: &mut [f32],
) {
    let sums = sums.first_chunk_mut::<R>().expect("no tile has more rows");
    let mut places = [first; R];
    for (place, write) in places.iter_mut().zip(&rows.writes[row..row + R]) {
        *place += *write as usize;
    }
    for (sums, place) in sums.iter_mut().zip(places) {
        let existing = &out[place..place + V * S::LANES];
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = start.vector(simd, v * S::LANES, &existing[v * S::LANES..]);
        }
    }
    for tap in 0..rows.taps {
        let mut pixels: [&[[f32; PANEL]]; R] = [&[]; R];
        for (r, pixel) in pixels.iter_mut().enumerate() {
            *pixel = rows.pixel(x, row + r, tap);
        }
        let mut weights: [&[[[f32; PANEL]; PANEL]]; P] = [&[]; P];
        for (weights, panel) in weights.iter_mut().zip(panels) {
            let part = &panel[tap * rows.depth * PANEL..][..rows.depth * PANEL];
            *weights = blocks(part).as_chunks::<PANEL>().0;
        }
        accumulate(simd, rows.depth / PANEL, &pixels, &weights, sums);
    }
    for (sums, place) in sums.iter().zip(places) {
        let row = &mut out[place..place + V * S::LANES];
        for (v, sum) in sums.iter().enumerate() {
            simd.store(*sum, &mut row[v * S::LANES..]);
        }
    }
}

/// The innermost loops: one pixel a row. No iterator with a closure: that is compiled without the path's instructions
/// unless it is inlined, which nobody promises. Sixteen channels at a time, so that slices are checked once for sixteen
/// steps.
#[inline(always)]
fn accumulate<S: Simd, const R: usize, const P: usize, const V: usize>(
    simd: S,
    blocks: usize,
    pixels: &[&[[f32; PANEL]]; R],
    weights: &[&[[[f32; PANEL]; PANEL]]; P],
    sums: &mut [[S::Vector; V]; R],
) {
    // A local copy, which the compiler keeps in registers.
    let mut acc = *sums;
    for block in 0..blocks {
        let mut x: [&[f32; PANEL]; R] = [&[0.0; PANEL]; R];
        for (x, pixel) in x.iter_mut().zip(pixels) {
            *x = &pixel[block];
        }
        let mut w: [&[[f32; PANEL]; PANEL]; P] = [&[[0.0; PANEL]; PANEL]; P];
        for (w, weights) in w.iter_mut().zip(weights) {
            *w = &weights[block];
        }
        for c in 0..PANEL {
            for w in &w {
                simd.prefetch(&w[c][0], AHEAD);
            }
            let mut vectors = [simd.splat(0.0); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                let lane = v * S::LANES;
                *vector = simd.load(&w[lane / PANEL][c][lane % PANEL..]);
            }
            for r in 0..R {
                let value = simd.splat(x[r][c]);
                for v in 0..V {
                    acc[r][v] = simd.mul_add(value, vectors[v], acc[r][v]);
                }
            }
        }
    }
    *sums = acc;
}
