//! The fully connected layer.

use dfdx::shapes::{Axes2, Axis, HasShape};
use dfdx::tensor::Tape;
use dfdx::tensor_ops::{BroadcastTo, PermuteTo, TryAdd, TryMatMul};

use crate::backend::Tensor2;
use crate::composed::{Composed, parameter};
use crate::device_ext::DeviceExt;
use crate::layers::Linear;

pub fn linear<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor2<Composed<D>, T>,
    layer: &Linear<Composed<D>>,
) -> Result<Tensor2<Composed<D>, T>, D::Err> {
    let (f_in, f_out) = (layer.features_in, layer.features_out);
    let features = x.shape().1;
    assert_eq!(features, f_in, "a linear layer of {f_in} features got {features}");
    let weight = parameter::<_, T, _>(&layer.weight, (f_out, f_in))?;
    let y = x.try_matmul(weight.try_permute::<(usize, usize), Axes2<1, 0>>()?)?;
    let bias = parameter::<_, T, _>(&layer.bias, (f_out,))?.try_broadcast_like::<_, Axis<0>>(y.shape())?;
    y.try_add(bias)
}
