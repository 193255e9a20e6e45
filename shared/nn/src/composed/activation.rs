//! SiLU.

use dfdx::shapes::Shape;
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::TryMul;

use crate::device_ext::DeviceExt;

/// `x sigmoid(x)`, in any shape.
pub fn silu<S: Shape, D: DeviceExt, T: Tape<f32, D>>(x: Tensor<S, f32, D, T>) -> Result<Tensor<S, f32, D, T>, D::Err> {
    x.retaped::<T>().try_sigmoid()?.try_mul(x)
}
