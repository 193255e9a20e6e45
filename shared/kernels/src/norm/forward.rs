//! One image's normalisation.

use rayon::prelude::*;

use crate::norm::loops::{activate, add_sums};
use crate::norm::{Activation, Affine, NormShape, over_bands};
use crate::scratch::Scratch;
use crate::simd::SimdPath;

/// Overwrites `y`, and mean and `1 / sqrt(variance + epsilon)` of each group, for the image `x` with its scale and
/// shift.
pub(crate) fn normalise_image(
    path: SimdPath,
    shape: &NormShape,
    x: &[f32],
    affine: [&[f32]; 2],
    activation: Activation,
    [mean, inv_std]: [&mut [f32]; 2],
    y: &mut [f32],
) {
    statistics(path, shape, x, mean, inv_std);
    let affine = Affine::new(shape, [mean, inv_std], affine);
    let bands = y.par_chunks_mut(shape.band_len()).zip(x.par_chunks(shape.band_len()));
    bands.for_each(|(y, x)| activate(path, affine.line(), activation, x, y));
}

/// Mean and spread of each group from the sums of its channels.
///
/// One pass over the values gives the sums of `x - k` and of its square. With any value of the channel for k (here that
/// of the image's first pixel) little is lost in the difference of the two, however large the mean is (Chan, Golub and
/// LeVeque 1983, "Algorithms for computing the sample variance", section 3).
fn statistics(path: SimdPath, shape: &NormShape, x: &[f32], mean: &mut [f32], inv_std: &mut [f32]) {
    let depth = shape.depth();
    let first_pixel = &x[..depth];
    let mut sums = Scratch::zeros(shape.bands() * 2 * depth);
    let bands = sums.par_chunks_exact_mut(2 * depth).zip(x.par_chunks(shape.band_len()));
    bands.for_each(|(sums, x)| {
        let (sum, squares) = sums.split_at_mut(depth);
        add_sums(path, first_pixel, x, sum, squares);
    });
    let channel = |c: usize| {
        let [sum, squares] = over_bands(shape, &sums, c).map(|sum| sum / shape.pixels as f64);
        (f64::from(first_pixel[c]) + sum, squares - sum * sum)
    };
    let size = shape.group_size();
    for (group, (mean, inv_std)) in mean.iter_mut().zip(inv_std).enumerate() {
        let channels = group * size..(group + 1) * size;
        let group_mean = channels.clone().map(|c| channel(c).0).sum::<f64>() / size as f64;
        let spread = |c: usize| {
            let (mean, variance) = channel(c);
            variance + (mean - group_mean).powi(2)
        };
        let variance = channels.map(spread).sum::<f64>() / size as f64;
        *mean = group_mean as f32;
        *inv_std = (1.0 / (variance.max(0.0) + shape.epsilon).sqrt()) as f32;
    }
}
