//! Group normalisation with a scale and a shift per image and channel, and SiLU.
//!
//! `y = act(xhat * scale + shift)` with `xhat = (x - mean) / sqrt(variance + epsilon)` over the pixels of a group of
//! channels (Wu and He 2018, "Group normalization", equations 1 and 2). Scale and shift belong to one image and one
//! channel, so a time embedding can set them; act is SiLU or nothing. Images are channels last
//! ([`crate::channels_last`]); what fills up their channels becomes zero.
//!
//! One image after the other is summed up and then changed, so that it is still in the cache the second time. It is
//! taken in bands of pixels. Sums over a band are kept for each channel, in as many lanes as there are channels; then
//! bands and channels are summed in their order, so that no result depends on the threads.

mod backward;
mod forward;
mod loops;

#[cfg(test)]
mod tests;

pub(crate) use backward::{ImageGradient, image_gradient};
pub(crate) use forward::normalise_image;

use rayon::prelude::*;

use crate::channels_last::padded;
use crate::check_len;
use crate::scratch::Scratch;
use crate::simd::{SimdPath, simd_path};

/// What PyTorch adds to the variance where nobody says otherwise, so that a constant group does not divide by zero.
pub const EPSILON: f64 = 1e-5;

/// Floats of a band, about: below that, handing work to another thread costs more than the work.
const BAND_LEN: usize = 16 * 1024;

/// The sizes of a group normalisation: `[batch][pixels][padded channels]`, the channels in `groups` equal groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels of an image; a multiple of `groups`.
    pub channels: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Groups of channels that are normalised together.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What follows the shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `u sigmoid(u)`.
    Silu,
}

/// Mean and 1 / sqrt(variance + epsilon) of every group, `[batch][groups]`: what the backward pass needs.
#[derive(Debug)]
pub struct NormStats {
    mean: Scratch,
    inv_std: Scratch,
    groups: usize,
    epsilon: f64,
}

impl NormStats {
    /// About to be overwritten.
    pub(crate) fn take(shape: &NormShape) -> Self {
        let &NormShape {
            batch, groups, epsilon, ..
        } = shape;
        let [mean, inv_std] = [0, 1].map(|_| Scratch::take(batch * groups));
        Self {
            mean,
            inv_std,
            groups,
            epsilon,
        }
    }

    /// Groups of each image.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// What was added to the variance.
    pub(crate) fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Mean and `1 / sqrt(variance + epsilon)` of each image, `[groups]`.
    pub(crate) fn of_images(&mut self) -> impl IndexedParallelIterator<Item = [&mut [f32]; 2]> {
        let mean = self.mean.par_chunks_mut(self.groups);
        mean.zip(self.inv_std.par_chunks_mut(self.groups))
            .map(|(mean, inv_std)| [mean, inv_std])
    }
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

    /// Channels of a group.
    fn group_size(&self) -> usize {
        self.channels / self.groups
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

pub(crate) fn forward(
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
    let mut stats = NormStats::take(shape);
    let images = y.par_chunks_mut(shape.image_len()).zip(x.par_chunks(shape.image_len()));
    let images = images.zip(stats.of_images()).enumerate();
    images.for_each(|(image, ((y, x), stats))| {
        let affine = [scale, shift].map(|values| &values[image * shape.channels..][..shape.channels]);
        normalise_image(path, shape, x, affine, activation, stats, y);
    });
    stats
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

pub(crate) fn backward(
    path: SimdPath,
    shape: &NormShape,
    input: NormInput<'_>,
    d: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    shape.check();
    let affine_len = shape.batch * shape.channels;
    check_len("group_norm_grad: x", shape.len(), input.x.len());
    check_len(
        "group_norm_grad: stats",
        shape.batch * shape.groups,
        input.stats.mean.len(),
    );
    check_len("group_norm_grad: scale", affine_len, input.scale.len());
    check_len("group_norm_grad: shift", affine_len, input.shift.len());
    check_len("group_norm_grad: d", shape.len(), d.len());
    check_len("group_norm_grad: dscale", affine_len, dscale.len());
    check_len("group_norm_grad: dshift", affine_len, dshift.len());
    let affine = dscale
        .par_chunks_mut(shape.channels)
        .zip(dshift.par_chunks_mut(shape.channels));
    let images = d.par_chunks_mut(shape.image_len()).zip(affine);
    images.enumerate().for_each(|(image, (d, (dscale, dshift)))| {
        image_gradient(
            path,
            shape,
            input.of_image(shape, image),
            ImageGradient { d, dscale, dshift },
        );
    });
}

/// What one image was normalised with.
#[derive(Clone, Copy)]
pub(crate) struct ImageInput<'a> {
    /// `[pixels][padded channels]`.
    x: &'a [f32],
    /// `[groups]`.
    mean: &'a [f32],
    /// `[groups]`.
    inv_std: &'a [f32],
    /// `[channels]`.
    scale: &'a [f32],
    /// `[channels]`.
    shift: &'a [f32],
    activation: Activation,
}

impl<'a> NormInput<'a> {
    pub(crate) fn of_image(&self, shape: &NormShape, image: usize) -> ImageInput<'a> {
        let (groups, channels) = (shape.groups, shape.channels);
        ImageInput {
            x: &self.x[image * shape.image_len()..][..shape.image_len()],
            mean: &self.stats.mean[image * groups..][..groups],
            inv_std: &self.stats.inv_std[image * groups..][..groups],
            scale: &self.scale[image * channels..][..channels],
            shift: &self.shift[image * channels..][..channels],
            activation: self.activation,
        }
    }
}

/// For each channel the mean, the slope and the shift of `(x - mean) * slope + shift`.
#[derive(Clone, Copy)]
struct Line<'a> {
    mean: &'a [f32],
    slope: &'a [f32],
    shift: &'a [f32],
}

/// The lines of an image, `[3][padded channels]`; zero for what fills up the channels.
struct Affine {
    values: Scratch,
    depth: usize,
}

impl Affine {
    fn new(shape: &NormShape, [mean, inv_std]: [&[f32]; 2], [scale, shift]: [&[f32]; 2]) -> Self {
        let depth = shape.depth();
        let mut values = Scratch::zeros(3 * depth);
        for c in 0..shape.channels {
            let group = c / shape.group_size();
            values[c] = mean[group];
            values[depth + c] = scale[c] * inv_std[group];
            values[2 * depth + c] = shift[c];
        }
        Self { values, depth }
    }

    fn line(&self) -> Line<'_> {
        let (mean, rest) = self.values.split_at(self.depth);
        let (slope, shift) = rest.split_at(self.depth);
        Line { mean, slope, shift }
    }
}

/// The two sums of one channel over all bands, `[bands][2][padded channels]`.
fn over_bands(shape: &NormShape, sums: &[f32], channel: usize) -> [f64; 2] {
    let depth = shape.depth();
    sums.chunks_exact(2 * depth).fold([0.0, 0.0], |[first, second], band| {
        [
            first + f64::from(band[channel]),
            second + f64::from(band[depth + channel]),
        ]
    })
}
