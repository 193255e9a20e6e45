//! The loops over pixels and channels. Sixteen channels at a time: the compiler makes whole vectors of these. All
//! pixels of a band, one after the other, for the same sixteen: what belongs to the channels stays in registers.

use crate::channels_last::blocks;
use crate::channels_last::blocks_mut;
use crate::elementwise::{sigmoid, silu_slope};
use crate::norm::{Activation, Line};
use crate::simd::{MAX_LANES, Simd, dispatch};

dispatch! {
    /// Adds to `sum` and `squares`, for each channel, the sums of `x - first` and of its square.
    pub(super) fn add_sums = add_sums_loop(first: &[f32], x: &[f32], sum: &mut [f32], squares: &mut [f32])
}

#[inline(always)]
fn add_sums_loop<S: Simd>(_simd: S, first: &[f32], x: &[f32], sum: &mut [f32], squares: &mut [f32]) {
    /// Pixels that are summed apart: an addition takes several cycles, and four can run at a time.
    const APART: usize = 4;
    let depth = first.len();
    let sums = blocks_mut(sum).iter_mut().zip(blocks_mut(squares));
    for (block, (first, (sum, squares))) in blocks(first).iter().zip(sums).enumerate() {
        let mut parts = [[[0.0; MAX_LANES]; 2]; APART];
        for pixels in x.chunks(APART * depth) {
            for (pixel, [sum, squares]) in pixels.chunks_exact(depth).zip(&mut parts) {
                let x = &blocks(pixel)[block];
                for i in 0..MAX_LANES {
                    let centred = x[i] - first[i];
                    sum[i] += centred;
                    squares[i] = S::mul_add_scalar(centred, centred, squares[i]);
                }
            }
        }
        for [part_sum, part_squares] in parts {
            for i in 0..MAX_LANES {
                sum[i] += part_sum[i];
                squares[i] += part_squares[i];
            }
        }
    }
}

dispatch! {
    /// `y = act((x - mean) * slope + shift)`
    pub(super) fn activate = activate_loop(line: Line<'_>, activation: Activation, x: &[f32], y: &mut [f32])
}

#[inline(always)]
fn activate_loop<S: Simd>(_simd: S, line: Line<'_>, activation: Activation, x: &[f32], y: &mut [f32]) {
    let depth = line.mean.len();
    for block in 0..depth / MAX_LANES {
        let [mean, slope, shift] = [line.mean, line.slope, line.shift].map(|values| blocks(values)[block]);
        for (x, y) in x.chunks_exact(depth).zip(y.chunks_exact_mut(depth)) {
            let (x, y) = (&blocks(x)[block], &mut blocks_mut(y)[block]);
            for i in 0..MAX_LANES {
                let u = S::mul_add_scalar(x[i] - mean[i], slope[i], shift[i]);
                y[i] = match activation {
                    Activation::None => u,
                    Activation::Silu => u * sigmoid::<S>(u),
                };
            }
        }
    }
}

dispatch! {
    /// Multiplies `d` by the slope of the activation; fills `sums` with those of the result and of its products with
    /// `x - mean`, for each channel.
    pub(super) fn gradient_sums = gradient_sums_loop(
        line: Line<'_>, activation: Activation, x: &[f32], d: &mut [f32], sums: &mut [f32],
    )
}

#[inline(always)]
fn gradient_sums_loop<S: Simd>(
    _simd: S,
    line: Line<'_>,
    activation: Activation,
    x: &[f32],
    d: &mut [f32],
    sums: &mut [f32],
) {
    let depth = line.mean.len();
    let (all_sums, all_sums_x) = sums.split_at_mut(depth);
    for block in 0..depth / MAX_LANES {
        let [mean, slope, shift] = [line.mean, line.slope, line.shift].map(|values| blocks(values)[block]);
        let (mut sum, mut sum_x) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
        for (x, d) in x.chunks_exact(depth).zip(d.chunks_exact_mut(depth)) {
            let (x, d) = (&blocks(x)[block], &mut blocks_mut(d)[block]);
            for i in 0..MAX_LANES {
                let centred = x[i] - mean[i];
                if activation == Activation::Silu {
                    d[i] *= silu_slope::<S>(S::mul_add_scalar(centred, slope[i], shift[i]));
                }
                sum[i] += d[i];
                sum_x[i] = S::mul_add_scalar(d[i], centred, sum_x[i]);
            }
        }
        blocks_mut(all_sums)[block] = sum;
        blocks_mut(all_sums_x)[block] = sum_x;
    }
}

dispatch! {
    /// `d = of_d * d + of_x * (x - mean) + constant`, where `lines` holds the three one after the other.
    pub(super) fn apply_gradient = apply_gradient_loop(mean: &[f32], lines: &[f32], x: &[f32], d: &mut [f32])
}

#[inline(always)]
fn apply_gradient_loop<S: Simd>(_simd: S, mean: &[f32], lines: &[f32], x: &[f32], d: &mut [f32]) {
    let depth = mean.len();
    for block in 0..depth / MAX_LANES {
        let line = |index: usize| blocks(&lines[index * depth..])[block];
        let (mean, [of_d, of_x, constant]) = (blocks(mean)[block], [line(0), line(1), line(2)]);
        for (x, d) in x.chunks_exact(depth).zip(d.chunks_exact_mut(depth)) {
            let (x, d) = (&blocks(x)[block], &mut blocks_mut(d)[block]);
            for i in 0..MAX_LANES {
                let along_x = S::mul_add_scalar(of_x[i], x[i] - mean[i], constant[i]);
                d[i] = S::mul_add_scalar(of_d[i], d[i], along_x);
            }
        }
    }
}
