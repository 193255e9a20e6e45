//! The ends of a forward pass: scalars whose gradients are known in closed form.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, PutTape, SplitTape, Tape};

use crate::backend::{Scalar, Tensor4};
use crate::gpu::Gpu;
use crate::gpu::context::read;

pub fn inner_product<T: Tape<f32, Cuda>>(
    x: Tensor4<Gpu, T>,
    cotangent: &Tensor4<Gpu>,
) -> Result<Scalar<Gpu, T>, CudaError> {
    assert_eq!(
        x.shape(),
        cotangent.shape(),
        "an inner product needs two arrays of one shape"
    );
    let (mut x, mut tape) = x.split_tape();
    let (context, values) = read(&mut x)?;
    let (_, slope) = read(&mut cotangent.clone())?;
    let product = context.kernels.dot(&values, &slope)?;
    let product = context.number(product)?;
    if T::OWNS_TAPE {
        let (x_ghost, ghost) = (x.ghost(), product.ghost());
        tape.add_backward_op(move |gradients| {
            let d = context.take(gradients.get_or_alloc_mut(&ghost)?)?;
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            Ok(context.kernels.add_dot_gradient(&slope, &d, dx)?)
        });
    }
    Ok(product.put_tape(tape))
}

pub fn mean_squared_error<T: Tape<f32, Cuda>>(
    x: Tensor4<Gpu, T>,
    target: &Tensor4<Gpu>,
    weights: &[f32],
) -> Result<Scalar<Gpu, T>, CudaError> {
    assert_eq!(
        x.shape(),
        target.shape(),
        "a mean squared error needs two arrays of one shape"
    );
    assert_eq!(
        x.shape().0,
        weights.len(),
        "a batch of {} images needs as many weights",
        x.shape().0
    );
    let (mut x, mut tape) = x.split_tape();
    let (context, values) = read(&mut x)?;
    let (_, target) = read(&mut target.clone())?;
    let weights = context.upload(weights)?;
    let loss = context.kernels.mean_squared_error(&values, &target, &weights)?;
    let loss = context.number(loss)?;
    if T::OWNS_TAPE {
        let (x_ghost, ghost) = (x.ghost(), loss.ghost());
        tape.add_backward_op(move |gradients| {
            let d = context.take(gradients.get_or_alloc_mut(&ghost)?)?;
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            let kernels = &context.kernels;
            Ok(kernels.add_mean_squared_error_gradient(&values, &target, &weights, &d, dx)?)
        });
    }
    Ok(loss.put_tape(tape))
}
