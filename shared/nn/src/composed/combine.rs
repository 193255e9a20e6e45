//! Two become one: feature maps as their sum, their blend, their channels side by side; a map and a vector.

use dfdx::shapes::{Axes2, Axes3, Axis, HasShape};
use dfdx::tensor::{Merge, PutTape, SplitTape, Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, TryAdd, TryConcatAlong, TryMul};

use crate::backend::{Backend, Tensor2, Tensor4};
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

/// A number for each channel of each image, added to all of its pixels.
pub fn shift_channels<B, T, U>(x: Tensor4<B, T>, shift: Tensor2<B, U>) -> Result<Tensor4<B, T>, B::Err>
where
    B: Backend,
    T: Tape<f32, B::Device> + Merge<U>,
    U: Tape<f32, B::Device>,
{
    let (x, tape) = x.split_tape();
    let (shift, shift_tape) = shift.split_tape();
    let shift = shift.retaped::<T>().try_broadcast_like::<_, Axes2<2, 3>>(x.shape())?;
    x.put_tape(tape.merge(shift_tape)).try_add(shift)
}
