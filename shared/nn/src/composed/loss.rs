//! The ends of a forward pass.

use dfdx::shapes::Rank0;
use dfdx::tensor::Tape;
use dfdx::tensor_ops::{MeanTo, SumTo, TryMul, TrySub};

use crate::backend::{Scalar, Tensor4};
use crate::composed::{Composed, combine};
use crate::device_ext::DeviceExt;

pub fn inner_product<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    cotangent: &Tensor4<Composed<D>>,
) -> Result<Scalar<Composed<D>, T>, D::Err> {
    x.try_mul(cotangent.clone())?.try_sum::<Rank0, _>()
}

pub fn mean_squared_error<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    target: &Tensor4<Composed<D>>,
    weights: &[f32],
) -> Result<Scalar<Composed<D>, T>, D::Err> {
    let squares = x.try_sub(target.clone())?.try_square()?;
    combine::scale_images(squares, weights)?.try_mean::<Rank0, _>()
}
