//! Changes of resolution: nearest-neighbour upsampling, averages of blocks, and pixel (un)shuffle.

use rayon::prelude::*;

use crate::check_len;

/// Values that one task takes at least: below that, handing work to another thread costs more than
/// the work.
const TASK_LEN: usize = 16 * 1024;

/// Nearest-neighbour upsampling by 2 of images with their channels last: `x` is `[rows][width][depth]`, the rows of all
/// images, `y` `[2 rows][2 width][depth]`; overwrites `y`.
pub fn upsample2(rows: usize, width: usize, depth: usize, x: &[f32], y: &mut [f32]) {
    let row = width * depth;
    check_len("upsample2: x", rows * row, x.len());
    check_len("upsample2: y", 4 * rows * row, y.len());
    if row == 0 {
        return;
    }
    y.par_chunks_mut(4 * row)
        .zip(x.par_chunks(row))
        .with_min_len(TASK_LEN.div_ceil(4 * row))
        .for_each(|(y, x)| {
            let (first, second) = y.split_at_mut(2 * row);
            for (pair, pixel) in first.chunks_exact_mut(2 * depth).zip(x.chunks_exact(depth)) {
                let (left, right) = pair.split_at_mut(depth);
                left.copy_from_slice(pixel);
                right.copy_from_slice(pixel);
            }
            second.copy_from_slice(first);
        });
}

/// Adjoint of [`upsample2`]: overwrites each pixel of `dx`, `[rows][width][depth]`, with the sum of its four copies in
/// `dy`.
pub fn upsample2_grad(rows: usize, width: usize, depth: usize, dy: &[f32], dx: &mut [f32]) {
    let row = width * depth;
    check_len("upsample2_grad: dy", 4 * rows * row, dy.len());
    check_len("upsample2_grad: dx", rows * row, dx.len());
    if row == 0 {
        return;
    }
    dx.par_chunks_mut(row)
        .zip(dy.par_chunks(4 * row))
        .with_min_len(TASK_LEN.div_ceil(4 * row))
        .for_each(|(dx, dy)| {
            let (first, second) = dy.split_at(2 * row);
            let pairs = first.chunks_exact(2 * depth).zip(second.chunks_exact(2 * depth));
            for (dx, (first, second)) in dx.chunks_exact_mut(depth).zip(pairs) {
                for (c, dx) in dx.iter_mut().enumerate() {
                    *dx = (first[c] + first[depth + c]) + (second[c] + second[depth + c]);
                }
            }
        });
}

/// Means of 2x2 pixels of images with their channels last, a quarter of [`upsample2`]'s adjoint: `x` is
/// `[2 rows][2 width][depth]`, `y` `[rows][width][depth]`; overwrites `y`.
pub fn average_pool2(rows: usize, width: usize, depth: usize, x: &[f32], y: &mut [f32]) {
    upsample2_grad(rows, width, depth, x, y);
    quarter(y);
}

/// Adjoint of [`average_pool2`]: overwrites the four pixels of each block in `dx` with a quarter of `dy`.
pub fn average_pool2_grad(rows: usize, width: usize, depth: usize, dy: &[f32], dx: &mut [f32]) {
    upsample2(rows, width, depth, dy, dx);
    quarter(dx);
}

/// `x = x / 4`.
fn quarter(x: &mut [f32]) {
    x.par_chunks_mut(TASK_LEN)
        .for_each(|x| x.iter_mut().for_each(|x| *x *= 0.25));
}

/// Space to depth in PyTorch's channel order: `[batch][channels][height][width]` to
/// `[batch][channels * factor²][height / factor][width / factor]`, where output channel `(c *
/// factor + i) * factor + j` holds the pixels `(factor * y + i, factor * x + j)` of channel `c`.
/// Overwrites `y`.
///
/// # Panics
///
/// If the height or width is no multiple of `factor`, or a slice has another length.
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
///
/// # Panics
///
/// As [`pixel_unshuffle`].
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
        for (rows, width, depth) in [(1, 1, 1), (3, 5, 2), (8, 3, 16), (40, 8, 48)] {
            let rng = &mut rng(rows as u64);
            let x = values(rng, rows * width * depth);
            let mut y = vec![f32::NAN; 4 * x.len()];
            upsample2(rows, width, depth, &x, &mut y);
            for (i, &value) in y.iter().enumerate() {
                let (row, column, c) = (i / (2 * width * depth), i / depth % (2 * width), i % depth);
                assert_eq!(value, x[(row / 2 * width + column / 2) * depth + c]);
            }
            let dy = values(rng, y.len());
            let mut dx = vec![f32::NAN; x.len()];
            upsample2_grad(rows, width, depth, &dy, &mut dx);
            assert!((dot(&dy, &y) - dot(&dx, &x)).abs() < 1e-4 * (x.len() as f64).sqrt());
        }
    }

    #[test]
    fn average_pool_takes_means_and_its_gradient_is_the_adjoint() {
        let mut y = [f32::NAN; 2];
        average_pool2(1, 2, 1, &[1.0, 2.0, 5.0, 7.0, 3.0, 6.0, -4.0, 0.0], &mut y);
        assert_eq!(y, [3.0, 2.0]);
        for (rows, width, depth) in [(1, 1, 1), (3, 5, 2), (40, 8, 48)] {
            let rng = &mut rng(rows as u64);
            let (x, dy) = (values(rng, 4 * rows * width * depth), values(rng, rows * width * depth));
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            average_pool2(rows, width, depth, &x, &mut y);
            average_pool2_grad(rows, width, depth, &dy, &mut dx);
            assert!((dot(&dy, &y) - dot(&dx, &x)).abs() < 1e-4 * (x.len() as f64).sqrt());
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
