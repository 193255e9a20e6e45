//! Group normalisation with a scale and a shift per image and channel, and SiLU, in one pass over
//! memory.
//!
//! `y = act(xhat * scale + shift)` with `xhat = (x - mean) / sqrt(variance + 1e-5)` over the pixels
//! of a group of channels. Scale and shift belong to one image and one channel, so a time embedding
//! can set them; act is SiLU or nothing.

use rayon::prelude::*;

use crate::check_len;
use crate::elementwise::{sigmoid, silu_slope};
use crate::scratch::Scratch;
use crate::simd::{Simd, SimdPath, dispatch, simd_path};

/// Added to the variance, as in PyTorch, so that a constant group does not divide by zero.
const EPSILON: f32 = 1e-5;

/// Values that one task takes at least: below that, handing work to another thread costs more than
/// the work.
const TASK_LEN: usize = 8 * 1024;

/// The sizes of a group normalisation: `[batch][channels][pixels]`, the channels in `groups` equal
/// groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels of an image; a multiple of `groups`.
    pub channels: usize,
    /// Pixels of a channel.
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

/// Mean and 1 / sqrt(variance + 1e-5) of every group, `[batch][groups]`: what the backward pass
/// needs.
#[derive(Clone, Debug, PartialEq)]
pub struct NormStats {
    /// Mean of a group.
    pub mean: Vec<f32>,
    /// 1 / sqrt(variance + 1e-5) of a group.
    pub inv_std: Vec<f32>,
}

impl NormShape {
    /// Values in the input and in the output.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.pixels
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

    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    fn group_len(&self) -> usize {
        self.group_channels() * self.pixels
    }

    fn groups_per_task(&self) -> usize {
        TASK_LEN.div_ceil(self.group_len())
    }
}

/// Normalises, scales, shifts and applies `activation`; overwrites `y`. Returns what the backward pass
/// needs.
///
/// `x` and `y` are `[batch][channels][pixels]`, `scale` and `shift` `[batch][channels]`.
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
    let channels = shape.group_channels();
    let groups = y.par_chunks_mut(shape.group_len()).zip(x.par_chunks(shape.group_len()));
    let affine = scale.par_chunks(channels).zip(shift.par_chunks(channels));
    let (mean, inv_std) = groups
        .zip(affine)
        .with_min_len(shape.groups_per_task())
        .map(|((y, x), (scale, shift))| forward_group(path, shape.pixels, x, scale, shift, activation, y))
        .unzip();
    NormStats { mean, inv_std }
}

dispatch! {
    /// One group; returns its mean and 1 / standard deviation.
    fn forward_group = forward_group_loops(
        pixels: usize, x: &[f32], scale: &[f32], shift: &[f32], activation: Activation, y: &mut [f32],
    ) -> (f32, f32)
}

#[inline(always)]
fn forward_group_loops<S: Simd>(
    _simd: S,
    pixels: usize,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    y: &mut [f32],
) -> (f32, f32) {
    let mean = lane_sum(x, |value| value) / x.len() as f32;
    // A second pass over the values, now in cache, is far more accurate than mean(x²) - mean².
    let variance = lane_sum(x, |value| (value - mean) * (value - mean)) / x.len() as f32;
    let inv_std = 1.0 / (variance + EPSILON).sqrt();
    let channels = y.chunks_exact_mut(pixels).zip(x.chunks_exact(pixels));
    for ((y, x), (scale, shift)) in channels.zip(scale.iter().zip(shift)) {
        let slope = scale * inv_std;
        match activation {
            Activation::None => {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = S::mul_add_scalar(x - mean, slope, *shift);
                }
            }
            Activation::Silu => {
                for (y, x) in y.iter_mut().zip(x) {
                    let u = S::mul_add_scalar(x - mean, slope, *shift);
                    *y = u * sigmoid::<S>(u);
                }
            }
        }
    }
    (mean, inv_std)
}

/// Sum of `f(value)` in 64 lanes, which the compiler keeps in vectors. (It may not reorder a plain
/// sum, as that changes the rounding.)
#[inline(always)]
fn lane_sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut lanes = [0.0; 64];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for &value in rest {
        sum += f(value);
    }
    sum
}

/// Gradient of [`group_norm`], given the gradient `dy` of its output.
///
/// Adds to `dx`. Overwrites `dscale` and `dshift` (`[batch][channels]`) with `sum over pixels of du
/// * xhat` and of `du`, where `du` is the gradient of what goes into SiLU.
#[allow(clippy::too_many_arguments)]
pub fn group_norm_grad(
    shape: &NormShape,
    x: &[f32],
    stats: &NormStats,
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    dy: &[f32],
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    backward(
        simd_path(),
        shape,
        x,
        stats,
        scale,
        shift,
        activation,
        dy,
        dx,
        dscale,
        dshift,
    );
}

#[allow(clippy::too_many_arguments)]
fn backward(
    path: SimdPath,
    shape: &NormShape,
    x: &[f32],
    stats: &NormStats,
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    dy: &[f32],
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    shape.check();
    let affine_len = shape.batch * shape.channels;
    check_len("group_norm_grad: x", shape.len(), x.len());
    check_len("group_norm_grad: mean", shape.batch * shape.groups, stats.mean.len());
    check_len(
        "group_norm_grad: inv_std",
        shape.batch * shape.groups,
        stats.inv_std.len(),
    );
    check_len("group_norm_grad: scale", affine_len, scale.len());
    check_len("group_norm_grad: shift", affine_len, shift.len());
    check_len("group_norm_grad: dy", shape.len(), dy.len());
    check_len("group_norm_grad: dx", shape.len(), dx.len());
    check_len("group_norm_grad: dscale", affine_len, dscale.len());
    check_len("group_norm_grad: dshift", affine_len, dshift.len());
    let (channels, len) = (shape.group_channels(), shape.group_len());
    let groups = dx
        .par_chunks_mut(len)
        .zip(dscale.par_chunks_mut(channels))
        .zip(dshift.par_chunks_mut(channels));
    groups.enumerate().with_min_len(shape.groups_per_task()).for_each_init(
        || Scratch::take(len),
        |du, (index, ((dx, dscale), dshift))| {
            let group = Group {
                pixels: shape.pixels,
                mean: stats.mean[index],
                inv_std: stats.inv_std[index],
                x: &x[index * len..][..len],
                scale: &scale[index * channels..][..channels],
                shift: &shift[index * channels..][..channels],
                activation,
            };
            backward_group(path, &group, &dy[index * len..][..len], du, dx, dscale, dshift);
        },
    );
}

/// What the forward pass knew of a group.
struct Group<'a> {
    pixels: usize,
    mean: f32,
    inv_std: f32,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Activation,
}

dispatch! {
    fn backward_group = backward_group_loops(
        group: &Group<'_>, dy: &[f32], du: &mut [f32], dx: &mut [f32],
        dscale: &mut [f32], dshift: &mut [f32],
    )
}

/// With g = scale * du, the gradient through the normalisation is `dx = inv_std * (g - mean(g) -
/// xhat * mean(g * xhat))`: what is left of g after the directions that the normalisation removes,
/// a common shift and a common factor.
#[inline(always)]
fn backward_group_loops<S: Simd>(
    _simd: S,
    group: &Group<'_>,
    dy: &[f32],
    du: &mut [f32],
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    let pixels = group.pixels;
    let (mut sum_g, mut sum_g_xhat) = (0.0, 0.0);
    for channel in 0..group.scale.len() {
        let range = channel * pixels..(channel + 1) * pixels;
        let (sum, sum_xhat) = channel_du::<S>(group, channel, &dy[range.clone()], &mut du[range]);
        dshift[channel] = sum;
        dscale[channel] = sum_xhat;
        sum_g += group.scale[channel] * sum;
        sum_g_xhat += group.scale[channel] * sum_xhat;
    }

    let count = group.x.len() as f32;
    let constant = -group.inv_std * sum_g / count;
    let along_x = -group.inv_std * group.inv_std * sum_g_xhat / count;
    for channel in 0..group.scale.len() {
        let range = channel * pixels..(channel + 1) * pixels;
        let along_du = group.inv_std * group.scale[channel];
        for ((dx, du), x) in dx[range.clone()]
            .iter_mut()
            .zip(&du[range.clone()])
            .zip(&group.x[range])
        {
            *dx += S::mul_add_scalar(along_du, *du, S::mul_add_scalar(along_x, x - group.mean, constant));
        }
    }
}

/// Fills `du` for one channel and returns the sums of `du` and of `du * xhat`, in 32 lanes each.
#[inline(always)]
fn channel_du<S: Simd>(group: &Group<'_>, channel: usize, dy: &[f32], du: &mut [f32]) -> (f32, f32) {
    const LANES: usize = 32;
    let x = &group.x[channel * group.pixels..][..group.pixels];
    let (slope, shift) = (group.scale[channel] * group.inv_std, group.shift[channel]);
    let (mut sums, mut sums_x) = ([0.0; LANES], [0.0; LANES]);
    let chunks = du.chunks_mut(LANES).zip(dy.chunks(LANES)).zip(x.chunks(LANES));
    for ((du, dy), x) in chunks {
        for ((((du, dy), x), sum), sum_x) in du.iter_mut().zip(dy).zip(x).zip(&mut sums).zip(&mut sums_x) {
            let centred = x - group.mean;
            *du = match group.activation {
                Activation::None => *dy,
                Activation::Silu => dy * silu_slope::<S>(S::mul_add_scalar(centred, slope, shift)),
            };
            *sum += *du;
            *sum_x = S::mul_add_scalar(*du, centred, *sum_x);
        }
    }
    (sums.iter().sum(), sums_x.iter().sum::<f32>() * group.inv_std)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_same_on_any_threads, paths, rng, to_f64, values};

    fn sigmoid_f64(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    struct Case {
        shape: NormShape,
        x: Vec<f32>,
        scale: Vec<f32>,
        shift: Vec<f32>,
        dy: Vec<f32>,
    }

    fn cases() -> Vec<Case> {
        let sizes = [
            (1, 1, 1, 1),
            (2, 3, 5, 1),
            (1, 6, 7, 3),
            (3, 8, 64, 8),
            (2, 17, 33, 17),
            (1, 48, 1024, 8),
            (2, 144, 64, 8),
            (1, 10, 63, 2),
        ];
        let case = |(seed, (batch, channels, pixels, groups))| {
            let shape = NormShape {
                batch,
                channels,
                pixels,
                groups,
            };
            let rng = &mut rng(seed);
            let x = values(rng, shape.len())
                .into_iter()
                .map(|value| 3.0 * value + 0.7)
                .collect();
            let [scale, shift] = [0, 1].map(|_| values(rng, batch * channels));
            Case {
                shape,
                x,
                scale,
                shift,
                dy: values(rng, shape.len()),
            }
        };
        (0..).zip(sizes).map(case).collect()
    }

    /// Output, and the gradients (dx, dscale, dshift), in f64 and by the definition.
    struct Reference {
        y: Vec<f64>,
        dx: Vec<f64>,
        dscale: Vec<f64>,
        dshift: Vec<f64>,
    }

    fn reference(case: &Case, activation: Activation) -> Reference {
        let shape = &case.shape;
        let len = shape.group_len();
        let affine = shape.batch * shape.channels;
        let mut r = Reference {
            y: vec![],
            dx: vec![],
            dscale: vec![0.0; affine],
            dshift: vec![0.0; affine],
        };
        for (group, x) in case.x.chunks(len).enumerate() {
            let x = to_f64(x);
            let count = len as f64;
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let inv_std = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            let mut g = Vec::new();
            for (i, x) in x.iter().enumerate() {
                let channel = group * shape.group_channels() + i / shape.pixels;
                let xhat = (x - mean) * inv_std;
                let u = xhat * f64::from(case.scale[channel]) + f64::from(case.shift[channel]);
                let s = sigmoid_f64(u);
                let (y, slope) = match activation {
                    Activation::None => (u, 1.0),
                    Activation::Silu => (u * s, s + u * s * (1.0 - s)),
                };
                r.y.push(y);
                let du = f64::from(case.dy[group * len + i]) * slope;
                r.dscale[channel] += du * xhat;
                r.dshift[channel] += du;
                g.push(du * f64::from(case.scale[channel]));
            }
            let mean_g = g.iter().sum::<f64>() / count;
            let mean_g_xhat = g.iter().zip(&x).map(|(g, x)| g * (x - mean) * inv_std).sum::<f64>() / count;
            r.dx.extend(
                g.iter()
                    .zip(&x)
                    .map(|(g, x)| inv_std * (g - mean_g - (x - mean) * inv_std * mean_g_xhat)),
            );
        }
        r
    }

    fn run(path: SimdPath, case: &Case, activation: Activation) -> [Vec<f32>; 4] {
        let shape = &case.shape;
        let mut y = vec![f32::NAN; shape.len()];
        let stats = forward(path, shape, &case.x, &case.scale, &case.shift, activation, &mut y);
        // dx starts from x: the gradient must be added to it.
        let mut dx = case.x.clone();
        let [mut dscale, mut dshift] = [0, 1].map(|_| vec![f32::NAN; case.scale.len()]);
        let (scale, shift) = (&case.scale, &case.shift);
        backward(
            path,
            shape,
            &case.x,
            &stats,
            scale,
            shift,
            activation,
            &case.dy,
            &mut dx,
            &mut dscale,
            &mut dshift,
        );
        [y, dx, dscale, dshift]
    }

    #[test]
    fn matches_reference() {
        for case in cases() {
            for activation in [Activation::None, Activation::Silu] {
                let expected = reference(&case, activation);
                let expected_dx: Vec<f64> = expected
                    .dx
                    .iter()
                    .zip(&case.x)
                    .map(|(d, &x)| d + f64::from(x))
                    .collect();
                for path in paths() {
                    let [y, dx, dscale, dshift] = run(path, &case, activation);
                    let what = |name| format!("{name} {path} {activation:?} {:?}", case.shape);
                    assert_close(&what("y"), &y, &expected.y, 1e-5);
                    assert_close(&what("dx"), &dx, &expected_dx, 1e-5);
                    assert_close(&what("dscale"), &dscale, &expected.dscale, 2e-5);
                    assert_close(&what("dshift"), &dshift, &expected.dshift, 2e-5);
                }
            }
        }
    }

    #[test]
    fn large_mean_keeps_its_accuracy() {
        let shape = NormShape {
            batch: 1,
            channels: 2,
            pixels: 100,
            groups: 1,
        };
        let x: Vec<f32> = (0..200).map(|i| 1000.0 + (i % 10) as f32).collect();
        let mut y = vec![0.0; 200];
        group_norm(&shape, &x, &[1.0; 2], &[0.0; 2], Activation::None, &mut y);
        let std = 8.25f32.sqrt();
        assert!(
            (y[0] + 4.5 / std).abs() < 1e-3 && (y[9] - 4.5 / std).abs() < 1e-3,
            "{:?}",
            &y[..10]
        );
    }

    #[test]
    fn threads_do_not_change_bits() {
        for case in cases() {
            for path in paths() {
                assert_same_on_any_threads(&format!("{path} {:?}", case.shape), || {
                    run(path, &case, Activation::Silu).concat()
                });
            }
        }
    }

    #[test]
    #[should_panic(expected = "impossible sizes")]
    fn groups_must_divide_channels() {
        let shape = NormShape {
            batch: 1,
            channels: 5,
            pixels: 1,
            groups: 2,
        };
        group_norm(&shape, &[0.0; 5], &[1.0; 5], &[0.0; 5], Activation::Silu, &mut [0.0; 5]);
    }
}
