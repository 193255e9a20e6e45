//! Group normalisation with a scale and a shift per image and channel, and SiLU.
//!
//! `y = act(xhat * scale + shift)` with `xhat = (x - mean) / sqrt(variance + 1e-5)` over the pixels of a group of
//! channels (Wu and He 2018, "Group normalization", equations 1 and 2). Scale and shift belong to one image and one
//! channel, so a time embedding can set them; act is SiLU or nothing. Images are channels last
//! ([`crate::channels_last`]); what fills up their channels becomes zero.
//!
//! An image is taken in bands of pixels. Sums over a band are kept for each channel, in as many lanes as there are
//! channels; then bands and channels are summed in their order, so that no result depends on the threads.

mod loops;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::channels_last::padded;
use crate::check_len;
use crate::norm::loops::{activate, add_sums, apply_gradient, gradient_sums};
use crate::scratch::Scratch;
use crate::simd::{SimdPath, simd_path};

/// Added to the variance, as in PyTorch, so that a constant group does not divide by zero.
const EPSILON: f64 = 1e-5;

/// Floats of a band, about: below that, handing work to another thread costs more than the work.
const BAND_LEN: usize = 16 * 1024;

/// The sizes of a group normalisation: `[batch][pixels][padded channels]`, the channels in `groups` equal groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels of an image; a multiple of `groups`.
    pub channels: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Groups of channels that are normalised together.
    pub groups: usize,
}

/// What follows the shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `u sigmoid(u)`.
    Silu,
}

/// Mean and 1 / sqrt(variance + 1e-5) of every group, `[batch][groups]`: what the backward pass needs.
#[derive(Debug)]
pub struct NormStats {
    mean: Scratch,
    inv_std: Scratch,
}

impl NormShape {
    /// Values in the input and in the output, those that fill up the channels among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.image_len()
    }

    /// Whether there are no values at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[track_caller]
    fn check(&self) {
        let divides = self.groups > 0 && self.channels.is_multiple_of(self.groups);
        assert!(
            divides && self.channels > 0 && self.pixels > 0,
            "group norm: impossible sizes {self:?}"
        );
    }

    fn depth(&self) -> usize {
        padded(self.channels)
    }

    fn image_len(&self) -> usize {
        self.pixels * self.depth()
    }

    /// Floats of a band.
    fn band_len(&self) -> usize {
        (BAND_LEN / self.depth()).max(1) * self.depth()
    }

    /// Bands of an image.
    fn bands(&self) -> usize {
        self.image_len().div_ceil(self.band_len())
    }

    /// The band of `x` that part `index` of all images' bands is.
    fn band<'a>(&self, x: &'a [f32], index: usize) -> &'a [f32] {
        let image = &x[index / self.bands() * self.image_len()..][..self.image_len()];
        let start = index % self.bands() * self.band_len();
        &image[start..self.image_len().min(start + self.band_len())]
    }
}

/// Normalises, scales, shifts and applies `activation`; overwrites `y`. Returns what the backward pass needs.
///
/// `x` and `y` are `[batch][pixels][padded channels]`, `scale` and `shift` `[batch][channels]`.
pub fn group_norm(
    shape: &NormShape,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    y: &mut [f32],
) -> NormStats {
    forward(simd_path(), shape, x, scale, shift, activation, y)
}

fn forward(
    path: SimdPath,
    shape: &NormShape,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    y: &mut [f32],
) -> NormStats {
    shape.check();
    check_len("group_norm: x", shape.len(), x.len());
    check_len("group_norm: scale", shape.batch * shape.channels, scale.len());
    check_len("group_norm: shift", shape.batch * shape.channels, shift.len());
    check_len("group_norm: y", shape.len(), y.len());
    let stats = statistics(path, shape, x);
    let affine = Affine::new(shape, &stats, scale, shift);
    let images = y.par_chunks_mut(shape.image_len()).zip(x.par_chunks(shape.image_len()));
    images.enumerate().for_each(|(image, (y, x))| {
        let bands = y.par_chunks_mut(shape.band_len()).zip(x.par_chunks(shape.band_len()));
        bands.for_each(|(y, x)| activate(path, affine.of(image), activation, x, y));
    });
    stats
}

/// For each channel the mean, the slope and the shift of `(x - mean) * slope + shift`.
#[derive(Clone, Copy)]
struct Line<'a> {
    mean: &'a [f32],
    slope: &'a [f32],
    shift: &'a [f32],
}

/// The lines of every image, `[batch][3][padded channels]`; zero for what fills up the channels.
struct Affine {
    values: Scratch,
    depth: usize,
}

impl Affine {
    fn new(shape: &NormShape, stats: &NormStats, scale: &[f32], shift: &[f32]) -> Self {
        let (channels, depth) = (shape.channels, shape.depth());
        let mut values = Scratch::zeros(shape.batch * 3 * depth);
        for (image, values) in values.chunks_exact_mut(3 * depth).enumerate() {
            for c in 0..channels {
                let group = image * shape.groups + c / (channels / shape.groups);
                values[c] = stats.mean[group];
                values[depth + c] = scale[image * channels + c] * stats.inv_std[group];
                values[2 * depth + c] = shift[image * channels + c];
            }
        }
        Self { values, depth }
    }

    fn of(&self, image: usize) -> Line<'_> {
        let (mean, rest) = self.values[image * 3 * self.depth..][..3 * self.depth].split_at(self.depth);
        let (slope, shift) = rest.split_at(self.depth);
        Line { mean, slope, shift }
    }
}

/// Two sums for each band of every image and channel, `[batch][bands][2][padded channels]`: `add(index, sums)` fills
/// those of one band.
fn sums_of_bands(shape: &NormShape, add: impl Fn(usize, &mut [f32], &mut [f32]) + Sync) -> Scratch {
    let depth = shape.depth();
    let mut sums = Scratch::zeros(shape.batch * shape.bands() * 2 * depth);
    sums.par_chunks_exact_mut(2 * depth)
        .enumerate()
        .for_each(|(index, sums)| {
            let (first, second) = sums.split_at_mut(depth);
            add(index, first, second);
        });
    sums
}

/// The two sums of one image and channel over all bands.
fn over_bands(shape: &NormShape, sums: &[f32], image: usize, channel: usize) -> [f64; 2] {
    let depth = shape.depth();
    let bands = sums
        .chunks_exact(2 * depth)
        .skip(image * shape.bands())
        .take(shape.bands());
    bands.fold([0.0, 0.0], |[first, second], band| {
        [
            first + f64::from(band[channel]),
            second + f64::from(band[depth + channel]),
        ]
    })
}

/// Mean and variance of each group from the sums of its channels.
///
/// One pass over the values gives the sums of `x - k` and of its square. With any value of the channel for k (here that
/// of the image's first pixel) little is lost in the difference of the two, however large the mean is (Chan, Golub and
/// LeVeque 1983, "Algorithms for computing the sample variance", section 3).
fn statistics(path: SimdPath, shape: &NormShape, x: &[f32]) -> NormStats {
    let depth = shape.depth();
    let first_pixel = |image: usize| &x[image * shape.image_len()..][..depth];
    let sums = sums_of_bands(shape, |index, sum, squares| {
        let first = first_pixel(index / shape.bands());
        add_sums(path, first, shape.band(x, index), sum, squares);
    });
    let size = shape.channels / shape.groups;
    let [mut mean, mut inv_std] = [0, 1].map(|_| Scratch::take(shape.batch * shape.groups));
    for (group, (mean, inv_std)) in mean.iter_mut().zip(inv_std.iter_mut()).enumerate() {
        let (image, first) = (group / shape.groups, group % shape.groups * size);
        let channel = |c: usize| {
            let [sum, squares] = over_bands(shape, &sums, image, c).map(|sum| sum / shape.pixels as f64);
            (f64::from(first_pixel(image)[c]) + sum, squares - sum * sum)
        };
        let channels = first..first + size;
        let group_mean = channels.clone().map(|c| channel(c).0).sum::<f64>() / size as f64;
        let spread = |c: usize| {
            let (mean, variance) = channel(c);
            variance + (mean - group_mean).powi(2)
        };
        let variance = channels.map(spread).sum::<f64>() / size as f64;
        *mean = group_mean as f32;
        *inv_std = (1.0 / (variance.max(0.0) + EPSILON).sqrt()) as f32;
    }
    NormStats { mean, inv_std }
}

/// What a normalisation was given in the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct NormInput<'a> {
    /// `[batch][pixels][padded channels]`.
    pub x: &'a [f32],
    /// What [`group_norm`] returned.
    pub stats: &'a NormStats,
    /// `[batch][channels]`.
    pub scale: &'a [f32],
    /// `[batch][channels]`.
    pub shift: &'a [f32],
    /// What followed the shift.
    pub activation: Activation,
}

/// Gradient of [`group_norm`]: `d` holds that of the output and is overwritten with that of the input.
///
/// Overwrites `dscale` and `dshift` (`[batch][channels]`) with `sum over pixels of du * xhat` and of `du`, where `du`
/// is the gradient of what goes into SiLU.
pub fn group_norm_grad(shape: &NormShape, input: NormInput<'_>, d: &mut [f32], dscale: &mut [f32], dshift: &mut [f32]) {
    backward(simd_path(), shape, input, d, dscale, dshift);
}

/// With g = scale * du, the gradient through the normalisation is `dx = inv_std * (g - mean(g) - xhat * mean(g *
/// xhat))`: what is left of g after the directions that the normalisation removes, a common shift and a common factor.
fn backward(
    path: SimdPath,
    shape: &NormShape,
    input: NormInput<'_>,
    d: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    let NormInput {
        x,
        stats,
        scale,
        shift,
        activation,
    } = input;
    shape.check();
    let affine_len = shape.batch * shape.channels;
    check_len("group_norm_grad: x", shape.len(), x.len());
    check_len("group_norm_grad: stats", shape.batch * shape.groups, stats.mean.len());
    check_len("group_norm_grad: scale", affine_len, scale.len());
    check_len("group_norm_grad: shift", affine_len, shift.len());
    check_len("group_norm_grad: d", shape.len(), d.len());
    check_len("group_norm_grad: dscale", affine_len, dscale.len());
    check_len("group_norm_grad: dshift", affine_len, dshift.len());
    let affine = Affine::new(shape, stats, scale, shift);
    let sums = gradient_of_activation(path, shape, &affine, activation, x, d);

    let (size, count) = (
        shape.channels / shape.groups,
        shape.channels / shape.groups * shape.pixels,
    );
    let depth = shape.depth();
    let mut lines = Scratch::zeros(shape.batch * 3 * depth);
    for (group, inv_std) in stats.inv_std.iter().enumerate() {
        let (image, first) = (group / shape.groups, group % shape.groups * size);
        let (mut sum_g, mut sum_g_xhat) = (0.0, 0.0);
        for c in first..first + size {
            let [du, du_x] = over_bands(shape, &sums, image, c);
            let (at, du_xhat) = (image * shape.channels + c, du_x * f64::from(*inv_std));
            dshift[at] = du as f32;
            dscale[at] = du_xhat as f32;
            sum_g += f64::from(scale[at]) * du;
            sum_g_xhat += f64::from(scale[at]) * du_xhat;
        }
        for c in first..first + size {
            let lines = &mut lines[image * 3 * depth..][..3 * depth];
            lines[c] = inv_std * scale[image * shape.channels + c];
            lines[depth + c] = -inv_std * inv_std * (sum_g_xhat / count as f64) as f32;
            lines[2 * depth + c] = -inv_std * (sum_g / count as f64) as f32;
        }
    }
    let images = d.par_chunks_mut(shape.image_len()).zip(x.par_chunks(shape.image_len()));
    images.enumerate().for_each(|(image, (d, x))| {
        let mean = affine.of(image).mean;
        let lines = &lines[image * 3 * depth..][..3 * depth];
        let bands = d.par_chunks_mut(shape.band_len()).zip(x.par_chunks(shape.band_len()));
        bands.for_each(|(d, x)| apply_gradient(path, mean, lines, x, d));
    });
}

/// Turns `d` from the gradient of the output into `du`; returns the sums of `du` and of `du * (x - mean)`.
fn gradient_of_activation(
    path: SimdPath,
    shape: &NormShape,
    affine: &Affine,
    activation: Activation,
    x: &[f32],
    d: &mut [f32],
) -> Scratch {
    let depth = shape.depth();
    let mut sums = Scratch::zeros(shape.batch * shape.bands() * 2 * depth);
    let images = d
        .par_chunks_mut(shape.image_len())
        .zip(sums.par_chunks_mut(shape.bands() * 2 * depth));
    images.enumerate().for_each(|(image, (d, sums))| {
        let bands = d
            .par_chunks_mut(shape.band_len())
            .zip(sums.par_chunks_exact_mut(2 * depth));
        bands.enumerate().for_each(|(band, (d, sums))| {
            let x = shape.band(x, image * shape.bands() + band);
            gradient_sums(path, affine.of(image), activation, x, d, sums);
        });
    });
    sums
}
