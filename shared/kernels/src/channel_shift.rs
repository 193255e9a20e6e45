//! One number for each channel of each image, added to all of its pixels: how a network without modulated norms is told
//! the time (Ho et al. 2020, appendix B).

use rayon::prelude::*;

use crate::channels_last::padded;
use crate::check_len;

/// Pixels that are summed in f32 before the sum goes on in f64.
const RUN: usize = 64;

/// `x += shift` for every pixel: `x` is `[batch][pixels][padded channels]`, `shift` `[batch][channels]`.
pub fn shift_channels(channels: usize, pixels: usize, shift: &[f32], x: &mut [f32]) {
    let depth = padded(channels);
    let batch = shift.len() / channels;
    check_len("shift_channels: x", batch * pixels * depth, x.len());
    let images = x
        .par_chunks_exact_mut(pixels * depth)
        .zip(shift.par_chunks_exact(channels));
    images.for_each(|(image, shift)| {
        image.par_chunks_exact_mut(depth).with_min_len(RUN).for_each(|pixel| {
            pixel.iter_mut().zip(shift).for_each(|(x, shift)| *x += shift);
        });
    });
}

/// Gradient of [`shift_channels`]: adds the sums of `d` over the pixels to `dshift`.
pub fn shift_channels_grad(channels: usize, pixels: usize, d: &[f32], dshift: &mut [f32]) {
    let depth = padded(channels);
    let batch = dshift.len() / channels;
    check_len("shift_channels_grad: d", batch * pixels * depth, d.len());
    let images = dshift
        .par_chunks_exact_mut(channels)
        .zip(d.par_chunks_exact(pixels * depth));
    images.for_each(|(dshift, image)| {
        let mut sums = vec![0.0; channels];
        for run in image.chunks(RUN * depth) {
            let mut partial = vec![0.0f32; channels];
            for pixel in run.chunks_exact(depth) {
                partial.iter_mut().zip(pixel).for_each(|(sum, d)| *sum += d);
            }
            sums.iter_mut()
                .zip(partial)
                .for_each(|(sum, part)| *sum += f64::from(part));
        }
        dshift.iter_mut().zip(sums).for_each(|(d, sum)| *d += sum as f32);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same_on_any_threads, rng, values};

    const SIZES: [(usize, usize, usize); 3] = [(1, 1, 1), (2, 3, 7), (3, 33, 200)];

    #[test]
    fn every_pixel_is_shifted_and_the_gradient_is_the_adjoint() {
        for (batch, channels, pixels) in SIZES {
            let rng = &mut rng(1);
            let depth = padded(channels);
            let (shift, d) = (values(rng, batch * channels), values(rng, batch * pixels * depth));
            let mut x = vec![0.0; d.len()];
            shift_channels(channels, pixels, &shift, &mut x);
            for (at, x) in x.iter().enumerate() {
                let (image, channel) = (at / (pixels * depth), at % depth);
                let expected = shift[image * channels..][..channels].get(channel).copied();
                assert_eq!(*x, expected.unwrap_or(0.0), "{batch} {channels} {pixels}, {at}");
            }
            let mut dshift = vec![1.0; shift.len()];
            shift_channels_grad(channels, pixels, &d, &mut dshift);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let gained: Vec<f32> = dshift.iter().map(|d| d - 1.0).collect();
            let (forward, backward) = (dot(&x, &d), dot(&shift, &gained));
            let scale = dot(&d, &d).sqrt().max(1.0);
            assert!((forward - backward).abs() < 1e-4 * scale, "{forward} {backward}");
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        assert_same_on_any_threads("shift_channels_grad", || {
            let d = values(&mut rng(2), 2 * 500 * padded(5));
            let mut dshift = vec![0.0; 10];
            shift_channels_grad(5, 500, &d, &mut dshift);
            dshift
        });
    }
}
