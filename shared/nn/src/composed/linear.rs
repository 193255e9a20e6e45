//! Fully connected layers and their activation.

use dfdx::shapes::{Axes2, Axis, HasShape, Shape};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, PermuteTo, TryAdd, TryMatMul, TryMul};

use super::{Composed, parameter};
use crate::{DeviceExt, Linear, Tensor2};

pub fn linear<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor2<Composed<D>, T>,
    layer: &Linear<Composed<D>>,
) -> Result<Tensor2<Composed<D>, T>, D::Err> {
    let (f_in, f_out) = (layer.features_in, layer.features_out);
    let features = x.shape().1;
    assert_eq!(features, f_in, "a linear layer of {f_in} features got {features}");
    let weight = parameter::<D, T, _>(&layer.weight, (f_out, f_in))?;
    let y = x.try_matmul(weight.try_permute::<(usize, usize), Axes2<1, 0>>()?)?;
    let bias = parameter::<D, T, _>(&layer.bias, (f_out,))?.try_broadcast_like::<_, Axis<0>>(y.shape())?;
    y.try_add(bias)
}

/// `x sigmoid(x)`, in any shape.
pub fn silu<S: Shape, D: DeviceExt, T: Tape<f32, D>>(x: Tensor<S, f32, D, T>) -> Result<Tensor<S, f32, D, T>, D::Err> {
    x.retaped::<T>().try_sigmoid()?.try_mul(x)
}
