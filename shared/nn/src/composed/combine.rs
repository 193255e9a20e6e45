//! Two feature maps become one: their sum, their blend, their channels side by side.

use dfdx::shapes::{Axes3, Axis, HasShape};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, TryAdd, TryConcatAlong, TryMul};

use crate::backend::Tensor4;
use crate::composed::Composed;
use crate::device_ext::DeviceExt;

pub fn add<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    y: Tensor4<Composed<D>, T>,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    x.try_add(y)
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
