//! Ops that move, join or add feature maps.

use dfdx::shapes::{Axes2, Axes3, Axes4, Axes5, Axis, HasShape, Rank0};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, PermuteTo, ReshapeTo, TryAdd, TryConcatAlong, TryMul};

use super::Composed;
use crate::{DeviceExt, Tensor4};

/// A shape of five axes, for pixels in blocks.
type Blocks = (usize, usize, usize, usize, usize);

pub fn upsample2<D: DeviceExt, T: Tape<f32, D>>(x: Tensor4<Composed<D>, T>) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(b, c, h, w) = x.shape();
    let rows = b * c * h;
    let blocks = (rows, 2, w, 2);
    // dfdx 0.13's reshape on CUDA loses most of the gradient of a broadcast tensor, so that a product writes it out first.
    let one: Tensor<Rank0, f32, D> = x.device().try_tensor_from_vec(vec![1.0], ())?;
    x.try_reshape_like(&(rows, w))?
        .try_broadcast_like::<_, Axes2<1, 3>>(&blocks)?
        .try_mul(one.try_broadcast_like::<_, Axes4<0, 1, 2, 3>>(&blocks)?)?
        .try_reshape_like(&(b, c, 2 * h, 2 * w))
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
    x.try_reshape_like(&(b * c, h / factor, factor, w / factor, factor))?
        .try_permute::<Blocks, Axes5<0, 2, 4, 1, 3>>()?
        .try_reshape_like(&(b, c * factor * factor, h / factor, w / factor))
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
    x.try_reshape_like(&(b * c, factor, factor, h, w))?
        .try_permute::<Blocks, Axes5<0, 3, 1, 4, 2>>()?
        .try_reshape_like(&(b, c, h * factor, w * factor))
}

pub fn blend<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    a: &[f32],
    y: Tensor4<Composed<D>, T>,
    b: &[f32],
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    scale_images(x, a)?.try_add(scale_images(y, b)?)
}

/// `a_i x_i` for each image `i`.
pub fn scale_images<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    a: &[f32],
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let batch = x.shape().0;
    assert_eq!(a.len(), batch, "a batch of {batch} images needs as many coefficients");
    let a: Tensor<(usize,), f32, D> = x.device().try_tensor_from_vec(a.to_vec(), (batch,))?;
    let a = a.try_broadcast_like::<_, Axes3<1, 2, 3>>(x.shape())?;
    x.try_mul(a)
}

pub fn concat_channels<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    y: Tensor4<Composed<D>, T>,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    (x, y).try_concat_along(Axis::<1>)
}
