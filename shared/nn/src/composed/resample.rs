//! Upsampling, averages, pixel shuffles, and a half turn.

use dfdx::shapes::{Axes2, Axes4, Axes5, Axis, HasShape, Rank0};
use dfdx::tensor::{Tape, Tensor, TensorFromVec};
use dfdx::tensor_ops::{BroadcastTo, GatherTo, MeanTo, PermuteTo, TryMul};

use crate::backend::{Backend, Tensor4};
use crate::composed::{Composed, reshape};
use crate::device_ext::DeviceExt;

/// A shape of five axes, for pixels in blocks.
type Blocks = (usize, usize, usize, usize, usize);

pub fn upsample2<D: DeviceExt, T: Tape<f32, D>>(x: Tensor4<Composed<D>, T>) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(b, c, h, w) = x.shape();
    let rows = b * c * h;
    let blocks = (rows, 2, w, 2);
    let repeated = reshape(x, (rows, w))?.try_broadcast_like::<_, Axes2<1, 3>>(&blocks)?;
    // The product with one writes out what is repeated: `reshape` says why.
    let one: Tensor<Rank0, f32, D> = repeated.device().try_tensor_from_vec(vec![1.0], ())?;
    let written = repeated.try_mul(one.try_broadcast_like::<_, Axes4<0, 1, 2, 3>>(&blocks)?)?;
    reshape(written, (b, c, 2 * h, 2 * w))
}

pub fn pixel_unshuffle<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    factor: usize,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(factor) && w.is_multiple_of(factor),
        "an image of {h}x{w} pixels does not split into blocks of {factor}x{factor}"
    );
    let blocks = reshape(x, (b * c, h / factor, factor, w / factor, factor))?;
    let channels = blocks.try_permute::<Blocks, Axes5<0, 2, 4, 1, 3>>()?;
    reshape(channels, (b, c * factor * factor, h / factor, w / factor))
}

pub fn pixel_shuffle<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    factor: usize,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(b, channels, h, w) = x.shape();
    let c = channels / (factor * factor);
    assert_eq!(
        c * factor * factor,
        channels,
        "{channels} channels do not fill blocks of {factor}x{factor} pixels"
    );
    let channels = reshape(x, (b * c, factor, factor, h, w))?;
    let blocks = channels.try_permute::<Blocks, Axes5<0, 3, 1, 4, 2>>()?;
    reshape(blocks, (b, c, h * factor, w * factor))
}

pub fn average_pool2<B: Backend, T: Tape<f32, B::Device>>(x: Tensor4<B, T>) -> Result<Tensor4<B, T>, B::Err> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(2) && w.is_multiple_of(2),
        "an image of {h}x{w} pixels does not split into blocks of 2x2"
    );
    let blocks = reshape(x, (b * c * h / 2, 2, w / 2, 2))?;
    let means = blocks.try_mean::<(usize, usize), Axes2<1, 3>>()?;
    reshape(means, (b, c, h / 2, w / 2))
}

pub fn half_turn<B: Backend, T: Tape<f32, B::Device>>(x: Tensor4<B, T>) -> Result<Tensor4<B, T>, B::Err> {
    let shape @ (b, c, h, w) = *x.shape();
    let (planes, len) = (b * c, h * w);
    let backwards: Tensor<(usize,), usize, B::Device> =
        x.device().try_tensor_from_vec((0..len).rev().collect(), (len,))?;
    let backwards = backwards.try_broadcast_like::<_, Axis<0>>(&(planes, len))?;
    let turned: Tensor<(usize, usize, usize), f32, B::Device, T> =
        reshape(x, (planes, len, 1))?.try_gather(backwards)?;
    reshape(turned, shape)
}
