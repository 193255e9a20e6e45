//! Images with their channels last, `[batch][height][width][channels]`, the channels filled up with zeros to whole
//! vectors, and the way there and back from `[batch][channels][height][width]`.
//!
//! In this order a pixel's channels are neighbours in memory: the products of a convolution read them one after
//! another, and every load is a whole vector.

use rayon::prelude::*;

use crate::check_len;
use crate::simd::{MAX_LANES, Simd, SimdPath, dispatch, simd_path};

/// Pixels and channels that are turned at a time.
const BLOCK: usize = MAX_LANES;
/// Pixels of a task: below that, handing work to another thread costs more than the work.
const TASK_PIXELS: usize = 128;
/// Pixels of a task that only copies.
const COPY_PIXELS: usize = 512;

/// Floats of a pixel of `channels` channels.
#[must_use]
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(BLOCK)
}

/// Sixteen channels at a time of one or several pixels.
#[inline(always)]
pub(crate) fn blocks(pixels: &[f32]) -> &[[f32; BLOCK]] {
    pixels.as_chunks::<BLOCK>().0
}

/// The same, to change them.
#[inline(always)]
pub(crate) fn blocks_mut(pixels: &mut [f32]) -> &mut [[f32; BLOCK]] {
    pixels.as_chunks_mut::<BLOCK>().0
}

/// What becomes of the values that are in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// They are overwritten.
    Overwrite,
    /// The new ones are added to them.
    Add,
}

/// Overwrites `y`, `[batch][pixels][padded(channels)]`, with `x`, `[batch][channels][pixels]`.
pub fn to_channels_last(channels: usize, pixels: usize, x: &[f32], y: &mut [f32]) {
    turn_all_in(simd_path(), channels, pixels, x, y);
}

fn turn_all_in(path: SimdPath, channels: usize, pixels: usize, x: &[f32], y: &mut [f32]) {
    let depth = padded(channels);
    check_len("to_channels_last", x.len() / channels * depth, y.len());
    if x.is_empty() {
        return;
    }
    let images = y.par_chunks_mut(pixels * depth).zip(x.par_chunks(pixels * channels));
    images.for_each(|(y, x)| {
        let tasks = y.par_chunks_mut(TASK_PIXELS * depth).enumerate();
        tasks.for_each(|(task, y)| turn_in(path, channels, pixels, task * TASK_PIXELS, x, y));
    });
}

dispatch! {
    fn turn_in = turn_in_blocks(channels: usize, pixels: usize, first: usize, x: &[f32], y: &mut [f32])
}

/// The pixels from `first` on, as many as `y` has room for.
#[inline(always)]
fn turn_in_blocks<S: Simd>(simd: S, channels: usize, pixels: usize, first: usize, x: &[f32], y: &mut [f32]) {
    let depth = padded(channels);
    for channel in (0..depth).step_by(S::LANES) {
        for (block, y) in y.chunks_mut(S::LANES * depth).enumerate() {
            let mut rows = [simd.splat(0.0); BLOCK];
            for r in 0..S::LANES.min(channels.saturating_sub(channel)) {
                let plane = &x[(channel + r) * pixels..][..pixels];
                rows[r] = load_part(simd, &plane[first + block * S::LANES..]);
            }
            transpose(simd, &mut rows);
            for (y, row) in y.chunks_exact_mut(depth).zip(rows) {
                simd.store(row, &mut y[channel..]);
            }
        }
    }
}

/// Exchanges rows and columns of `LANES` vectors. Interleaving the first half of the rows with the second moves the
/// leading binary digit of an element's row to the end of its column; when all digits have moved, the row's place holds
/// the column.
#[inline(always)]
fn transpose<S: Simd>(simd: S, rows: &mut [S::Vector; BLOCK]) {
    for _ in 0..S::LANES.ilog2() {
        let before = *rows;
        for r in 0..S::LANES / 2 {
            [rows[2 * r], rows[2 * r + 1]] = simd.interleave(before[r], before[r + S::LANES / 2]);
        }
    }
}

/// The first vector of `row`, filled up with zeros past the row's end.
#[inline(always)]
fn load_part<S: Simd>(simd: S, row: &[f32]) -> S::Vector {
    if row.len() >= S::LANES {
        return simd.load(row);
    }
    let mut part = [0.0; BLOCK];
    part[..row.len()].copy_from_slice(row);
    simd.load(&part)
}

/// Writes or adds to `x`, `[batch][channels][pixels]`, what `y`, `[batch][pixels][padded(channels)]`, holds.
pub fn from_channels_last(channels: usize, pixels: usize, y: &[f32], onto: Onto, x: &mut [f32]) {
    turn_all_out(simd_path(), channels, pixels, y, onto, x);
}

fn turn_all_out(path: SimdPath, channels: usize, pixels: usize, y: &[f32], onto: Onto, x: &mut [f32]) {
    let depth = padded(channels);
    check_len("from_channels_last", x.len() / channels * depth, y.len());
    if x.is_empty() {
        return;
    }
    let images = x.par_chunks_mut(pixels * channels).zip(y.par_chunks(pixels * depth));
    images.for_each(|(x, y)| {
        let tasks = x.par_chunks_mut(BLOCK * pixels).enumerate();
        tasks.for_each(|(task, x)| turn_out(path, depth, pixels, task * BLOCK, y, onto, x));
    });
}

dispatch! {
    fn turn_out = turn_out_blocks(
        depth: usize, pixels: usize, channel: usize, y: &[f32], onto: Onto, x: &mut [f32],
    )
}

/// The channels from `channel` on, as many as `x` has room for.
#[inline(always)]
fn turn_out_blocks<S: Simd>(
    simd: S,
    depth: usize,
    pixels: usize,
    channel: usize,
    y: &[f32],
    onto: Onto,
    x: &mut [f32],
) {
    for (group, x) in x.chunks_mut(S::LANES * pixels).enumerate() {
        let channel = channel + group * S::LANES;
        for (block, y) in y.chunks(S::LANES * depth).enumerate() {
            let mut rows = [simd.splat(0.0); BLOCK];
            for (row, y) in rows.iter_mut().zip(y.chunks_exact(depth)) {
                *row = simd.load(&y[channel..]);
            }
            transpose(simd, &mut rows);
            for (plane, row) in x.chunks_exact_mut(pixels).zip(rows) {
                put(simd, row, onto, &mut plane[block * S::LANES..]);
            }
        }
    }
}

/// Writes or adds a vector to the first places of `row`, but for what would lie past the row's end.
#[inline(always)]
fn put<S: Simd>(simd: S, vector: S::Vector, onto: Onto, row: &mut [f32]) {
    let existing = match onto {
        Onto::Overwrite => simd.splat(0.0),
        Onto::Add => load_part(simd, row),
    };
    let vector = simd.add(vector, existing);
    if row.len() >= S::LANES {
        return simd.store(vector, row);
    }
    let mut part = [0.0; BLOCK];
    simd.store(vector, &mut part);
    row.copy_from_slice(&part[..row.len()]);
}

/// Overwrites `joined`, `[pixels][padded(a + b)]`, with the channels of two images, of which each has `a` or `b`.
pub fn join_channels([a, b]: [usize; 2], parts: [&[f32]; 2], joined: &mut [f32]) {
    let depth = padded(a + b);
    let pixels = joined.len() / depth;
    check_len("join_channels: first", pixels * padded(a), parts[0].len());
    check_len("join_channels: second", pixels * padded(b), parts[1].len());
    let first = parts[0].par_chunks_exact(padded(a));
    let pairs = first.zip(parts[1].par_chunks_exact(padded(b)));
    let tasks = joined.par_chunks_exact_mut(depth).zip(pairs).with_min_len(COPY_PIXELS);
    tasks.for_each(|(joined, (first, second))| {
        joined[..a].copy_from_slice(&first[..a]);
        joined[a..a + b].copy_from_slice(&second[..b]);
        joined[a + b..].fill(0.0);
    });
}

/// Overwrites two images with their parts of `joined`: undoes [`join_channels`].
pub fn split_channels([a, b]: [usize; 2], joined: &[f32], [first, second]: [&mut [f32]; 2]) {
    let depth = padded(a + b);
    let pixels = joined.len() / depth;
    check_len("split_channels: first", pixels * padded(a), first.len());
    check_len("split_channels: second", pixels * padded(b), second.len());
    let pairs = first
        .par_chunks_exact_mut(padded(a))
        .zip(second.par_chunks_exact_mut(padded(b)));
    let tasks = pairs.zip(joined.par_chunks_exact(depth)).with_min_len(COPY_PIXELS);
    tasks.for_each(|((first, second), joined)| {
        first[..a].copy_from_slice(&joined[..a]);
        first[a..].fill(0.0);
        second[..b].copy_from_slice(&joined[a..a + b]);
        second[b..].fill(0.0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{paths, rng, values};

    #[test]
    fn joined_and_split_again() {
        for (a, b, pixels) in [(1, 2, 3), (16, 32, 600), (12, 20, 5), (48, 1, 513)] {
            let rng = &mut rng(3);
            let mut parts = [a, b].map(|channels| {
                let mut part = vec![f32::NAN; pixels * padded(channels)];
                to_channels_last(channels, pixels, &values(rng, pixels * channels), &mut part);
                part
            });
            let mut joined = vec![f32::NAN; pixels * padded(a + b)];
            join_channels([a, b], [&parts[0], &parts[1]], &mut joined);
            for (p, pixel) in joined.chunks_exact(padded(a + b)).enumerate() {
                assert_eq!(pixel[..a], parts[0][p * padded(a)..][..a]);
                assert_eq!(pixel[a..a + b], parts[1][p * padded(b)..][..b]);
                assert!(pixel[a + b..].iter().all(|value| *value == 0.0));
            }
            let before = parts.clone();
            let [first, second] = &mut parts;
            first.fill(f32::NAN);
            second.fill(f32::NAN);
            split_channels([a, b], &joined, [first, second]);
            assert!(parts == before, "{a} {b} {pixels}");
        }
    }

    #[test]
    fn there_and_back() {
        for (batch, channels, pixels) in [(1, 1, 1), (2, 3, 5), (1, 16, 16), (2, 17, 33), (1, 40, 300)] {
            let x = values(&mut rng(1), batch * channels * pixels);
            for path in paths() {
                let mut y = vec![f32::NAN; batch * pixels * padded(channels)];
                turn_all_in(path, channels, pixels, &x, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let (c, p) = (i % padded(channels), i / padded(channels));
                    let place = (p / pixels * channels + c) * pixels + p % pixels;
                    assert_eq!(
                        *y,
                        if c < channels { x[place] } else { 0.0 },
                        "{path} {channels} {pixels} {i}"
                    );
                }
                let mut back = vec![f32::NAN; x.len()];
                turn_all_out(path, channels, pixels, &y, Onto::Overwrite, &mut back);
                assert!(back == x, "{path} {channels} {pixels}");
                turn_all_out(path, channels, pixels, &y, Onto::Add, &mut back);
                assert!(
                    back.iter().zip(&x).all(|(back, x)| *back == 2.0 * x),
                    "{path} {channels} {pixels}"
                );
            }
        }
    }
}
