//! The transforms of a task's tiles: of the input on the way in, of the products on the way out.

use crate::conv::tile::Start;
use crate::conv::winograd::transform::{F2, F4, Winograd, both_ways};
use crate::conv::winograd::{Task, Tiling};
use crate::simd::{Simd, dispatch};

/// The tiles of a task and how they are transformed.
pub(super) struct Tiles<'a> {
    pub tiling: &'a Tiling,
    pub task: Task,
    /// Padded channels.
    pub channels: usize,
    /// Floats from one position's transformed values to the next's.
    pub stride: usize,
    /// A pixel outside the image.
    pub zeros: &'a [f32],
}

dispatch! {
    /// `to[position][tile][channel] = B' d B`.
    pub(super) fn input_f2 = input_f2_tiles(tiles: &Tiles<'_>, x: &[f32], to: &mut [f32])
}
dispatch! {
    /// Likewise.
    pub(super) fn input_f4 = input_f4_tiles(tiles: &Tiles<'_>, x: &[f32], to: &mut [f32])
}

#[inline(always)]
fn input_f2_tiles<S: Simd>(simd: S, tiles: &Tiles<'_>, x: &[f32], to: &mut [f32]) {
    input_tiles::<S, F2, 2, 4>(simd, tiles, x, to);
}

#[inline(always)]
fn input_f4_tiles<S: Simd>(simd: S, tiles: &Tiles<'_>, x: &[f32], to: &mut [f32]) {
    input_tiles::<S, F4, 4, 6>(simd, tiles, x, to);
}

#[inline(always)]
fn input_tiles<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    tiles: &Tiles<'_>,
    x: &[f32],
    to: &mut [f32],
) {
    let (tiling, depth) = (tiles.tiling, tiles.channels);
    let mut columns = [[simd.splat(0.0); A]; A];
    for tile in 0..tiles.task.tiles {
        let [image, row, column] = tiles.task.place(tiling, tile);
        let image = &x[image * tiling.pixels() * depth..];
        let pixel = |r: usize, c: usize| {
            let (r, c) = ((row + r).wrapping_sub(1), (column + c).wrapping_sub(1));
            if r < tiling.height && c < tiling.width {
                &image[(r * tiling.width + c) * depth..][..depth]
            } else {
                &tiles.zeros[..depth]
            }
        };
        let mut pixels: [[&[f32]; A]; A] = [[&[]; A]; A];
        for (r, row) in pixels.iter_mut().enumerate() {
            for (c, from) in row.iter_mut().enumerate() {
                *from = pixel(r, c);
            }
        }
        for channel in (0..depth).step_by(S::LANES) {
            let to = &mut to[tile * depth + channel..];
            both_ways!(simd, W::input, columns, (r, c) => simd.load(&pixels[r][c][channel..]), A, (r, v) => {
                for (c, v) in v.iter().enumerate() {
                    simd.store(*v, &mut to[(r * A + c) * tiles.stride..]);
                }
            });
        }
    }
}

/// The products of a task's tiles for some outputs.
pub(super) struct Products<'a> {
    pub tiles: &'a Tiles<'a>,
    /// `[position][tile][width]`.
    pub values: &'a [f32],
    /// Floats from position to position.
    pub stride: usize,
    pub width: usize,
    /// Where in a pixel of the output they go, and how many outputs it has.
    pub column: usize,
    pub outputs: usize,
}

dispatch! {
    /// `y = start + A' products A`.
    pub(super) fn output_f2 = output_f2_tiles(products: &Products<'_>, start: Start<'_>, y: &mut [f32])
}
dispatch! {
    /// Likewise.
    pub(super) fn output_f4 = output_f4_tiles(products: &Products<'_>, start: Start<'_>, y: &mut [f32])
}

#[inline(always)]
fn output_f2_tiles<S: Simd>(simd: S, products: &Products<'_>, start: Start<'_>, y: &mut [f32]) {
    output_tiles::<S, F2, 2, 4>(simd, products, start, y);
}

#[inline(always)]
fn output_f4_tiles<S: Simd>(simd: S, products: &Products<'_>, start: Start<'_>, y: &mut [f32]) {
    output_tiles::<S, F4, 4, 6>(simd, products, start, y);
}

#[inline(always)]
fn output_tiles<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    products: &Products<'_>,
    start: Start<'_>,
    y: &mut [f32],
) {
    let Products {
        tiles,
        values,
        stride,
        width,
        column: first,
        outputs,
    } = *products;
    let Tiles { tiling, task, .. } = *tiles;
    let mut turned = [[simd.splat(0.0); M]; A];
    // Where the task's part of the image begins.
    let [first_image, first_row, _] = task.place(tiling, 0);
    for tile in 0..task.tiles {
        let [image, row, column] = task.place(tiling, tile);
        let (rows, columns) = (M.min(tiling.height - row), M.min(tiling.width - column));
        let corner = ((image - first_image) * tiling.height + row - first_row) * tiling.width + column;
        for channel in (0..width).step_by(S::LANES) {
            let from = &values[tile * width + channel..];
            both_ways!(simd, W::output, turned, (r, c) => simd.load(&from[(r * A + c) * stride..]), A, (r, sums) => {
                if r == rows {
                    break;
                }
                for (c, sum) in sums.iter().enumerate().take(columns) {
                    let y = &mut y[(corner + r * tiling.width + c) * outputs + first + channel..][..S::LANES];
                    let before = start.vector(simd, channel, y);
                    simd.store(simd.add(before, *sum), y);
                }
            });
        }
    }
}
