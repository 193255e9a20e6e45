//! Changes of resolution: nearest-neighbour upsampling, and pixel (un)shuffle.

use rayon::prelude::*;

use crate::check_len;

/// Values that one task takes at least: below that, handing work to another thread costs more than
/// the work.
const TASK_LEN: usize = 16 * 1024;

/// Nearest-neighbour upsampling by 2: `x` is `[planes][height][width]`, `y` `[planes][2 height][2
/// width]`; overwrites `y`.
pub fn upsample2(planes: usize, height: usize, width: usize, x: &[f32], y: &mut [f32]) {
    let pixels = height * width;
    check_len("upsample2: x", planes * pixels, x.len());
    check_len("upsample2: y", planes * 4 * pixels, y.len());
    if pixels == 0 {
        return;
    }
    y.par_chunks_mut(4 * pixels)
        .zip(x.par_chunks(pixels))
        .with_min_len(TASK_LEN.div_ceil(4 * pixels))
        .for_each(|(y, x)| {
            for (rows, x) in y.chunks_exact_mut(4 * width).zip(x.chunks_exact(width)) {
                let (first, second) = rows.split_at_mut(2 * width);
                for (pair, &value) in first.chunks_exact_mut(2).zip(x) {
                    pair.fill(value);
                }
                second.copy_from_slice(first);
            }
        });
}

/// Adjoint of [`upsample2`]: each pixel of `dx` (`[planes][height][width]`) gains the sum of its
/// four copies in `dy`.
pub fn upsample2_grad(planes: usize, height: usize, width: usize, dy: &[f32], dx: &mut [f32]) {
    let pixels = height * width;
    check_len("upsample2_grad: dy", planes * 4 * pixels, dy.len());
    check_len("upsample2_grad: dx", planes * pixels, dx.len());
    if pixels == 0 {
        return;
    }
    dx.par_chunks_mut(pixels)
        .zip(dy.par_chunks(4 * pixels))
        .with_min_len(TASK_LEN.div_ceil(4 * pixels))
        .for_each(|(dx, dy)| {
            for (dx, rows) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(4 * width)) {
                let (first, second) = rows.split_at(2 * width);
                for ((dx, a), b) in dx.iter_mut().zip(first.chunks_exact(2)).zip(second.chunks_exact(2)) {
                    *dx += (a[0] + a[1]) + (b[0] + b[1]);
                }
            }
        });
}

/// Space to depth in PyTorch's channel order: `[batch][channels][height][width]` to
/// `[batch][channels * factor²][height / factor][width / factor]`, where output channel `(c *
/// factor + i) * factor + j` holds the pixels `(factor * y + i, factor * x + j)` of channel `c`.
/// Overwrites `y`.
pub fn pixel_unshuffle(
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    factor: usize,
    x: &[f32],
    y: &mut [f32],
) {
    assert!(
        factor > 0 && height.is_multiple_of(factor) && width.is_multiple_of(factor),
        "pixel_unshuffle: {height}x{width} is no multiple of {factor}"
    );
    let len = batch * channels * height * width;
    check_len("pixel_unshuffle: x", len, x.len());
    check_len("pixel_unshuffle: y", len, y.len());
    let (low_height, low_width) = (height / factor, width / factor);
    if len == 0 {
        return;
    }
    y.par_chunks_mut(low_height * low_width)
        .enumerate()
        .with_min_len(TASK_LEN.div_ceil(low_height * low_width))
        .for_each(|(plane, y)| {
            let (channel, i, j) = (plane / (factor * factor), plane / factor % factor, plane % factor);
            let x = &x[channel * height * width..][..height * width];
            for (row, y) in y.chunks_exact_mut(low_width).enumerate() {
                let x = &x[(row * factor + i) * width..][..width];
                for (y, x) in y.iter_mut().zip(x[j..].iter().step_by(factor)) {
                    *y = *x;
                }
            }
        });
}

/// Depth to space, the exact inverse (and the adjoint) of [`pixel_unshuffle`]:
/// `[batch][channels_out * factor²][height_out / factor][width_out / factor]` to
/// `[batch][channels_out][height_out][width_out]`. Overwrites `y`.
pub fn pixel_shuffle(
    batch: usize,
    channels_out: usize,
    height_out: usize,
    width_out: usize,
    factor: usize,
    x: &[f32],
    y: &mut [f32],
) {
    assert!(
        factor > 0 && height_out.is_multiple_of(factor) && width_out.is_multiple_of(factor),
        "pixel_shuffle: {height_out}x{width_out} is no multiple of {factor}"
    );
    let len = batch * channels_out * height_out * width_out;
    check_len("pixel_shuffle: x", len, x.len());
    check_len("pixel_shuffle: y", len, y.len());
    let (low_height, low_width) = (height_out / factor, width_out / factor);
    if len == 0 {
        return;
    }
    y.par_chunks_mut(height_out * width_out)
        .enumerate()
        .with_min_len(TASK_LEN.div_ceil(height_out * width_out))
        .for_each(|(channel, y)| {
            for (row, y) in y.chunks_exact_mut(width_out).enumerate() {
                for j in 0..factor {
                    let plane = (channel * factor + row % factor) * factor + j;
                    let x = &x[(plane * low_height + row / factor) * low_width..][..low_width];
                    for (y, x) in y[j..].iter_mut().step_by(factor).zip(x) {
                        *y = *x;
                    }
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, values};

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn upsample_repeats_pixels_and_its_gradient_is_the_adjoint() {
        for (planes, height, width) in [(1, 1, 1), (3, 1, 5), (2, 4, 3), (5, 8, 8)] {
            let rng = &mut rng(planes as u64);
            let x = values(rng, planes * height * width);
            let mut y = vec![f32::NAN; 4 * x.len()];
            upsample2(planes, height, width, &x, &mut y);
            for (i, &value) in y.iter().enumerate() {
                let plane = i / (4 * height * width);
                let (row, col) = (i / (2 * width) % (2 * height), i % (2 * width));
                assert_eq!(value, x[(plane * height + row / 2) * width + col / 2]);
            }
            let dy = values(rng, y.len());
            let mut dx = x.clone();
            upsample2_grad(planes, height, width, &dy, &mut dx);
            let gained: Vec<f32> = dx.iter().zip(&x).map(|(after, before)| after - before).collect();
            assert!((dot(&dy, &y) - dot(&gained, &x)).abs() < 1e-4);
        }
    }

    #[test]
    fn pixel_unshuffle_has_the_order_of_pytorch_and_an_inverse() {
        // torch.nn.functional.pixel_unshuffle(torch.arange(16.).reshape(1, 1, 4, 4), 2)
        let x: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let mut y = vec![0.0; 16];
        pixel_unshuffle(1, 1, 4, 4, 2, &x, &mut y);
        assert_eq!(
            y,
            [0., 2., 8., 10., 1., 3., 9., 11., 4., 6., 12., 14., 5., 7., 13., 15.]
        );

        let sizes = [(1, 1, 1, 1, 1), (2, 3, 4, 6, 2), (3, 2, 9, 3, 3), (2, 5, 5, 2, 1)];
        for (batch, channels, height, width, factor) in sizes {
            let x = values(&mut rng(2), batch * channels * height * width);
            let (mut y, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            pixel_unshuffle(batch, channels, height, width, factor, &x, &mut y);
            pixel_shuffle(batch, channels, height, width, factor, &y, &mut back);
            assert_eq!(x, back);
            let (low_height, low_width) = (height / factor, width / factor);
            for (i, &value) in x.iter().enumerate() {
                let (channel, row, col) = (i / (height * width), i / width % height, i % width);
                let plane = (channel * factor + row % factor) * factor + col % factor;
                assert_eq!(value, y[(plane * low_height + row / factor) * low_width + col / factor]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "3x4 is no multiple of 2")]
    fn factor_must_divide() {
        pixel_unshuffle(1, 1, 3, 4, 2, &[0.0; 12], &mut [0.0; 12]);
    }
}
