//! The ends of a forward pass: scalars whose gradients are known in closed form.

use dfdx::shapes::{HasShape, Rank0};
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::scratch::Scratch;

use crate::backend::{Scalar, Tensor4};
use crate::cpu::tape::{read, take_gradient};

/// A scalar `value` whose gradient with respect to `x` is `slope`.
fn scalar<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, value: f64, slope: Scratch) -> Result<Scalar<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let result = x.device().try_tensor_from_vec(vec![value as f32], Rank0::default())?;
    if T::OWNS_TAPE {
        let (x_ghost, ghost) = (x.ghost(), result.ghost());
        tape.add_backward_op(move |gradients| {
            let d = take_gradient!(gradients, ghost)[0];
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            dx.iter_mut().zip(slope.iter()).for_each(|(dx, slope)| *dx += d * slope);
            Ok(())
        });
    }
    Ok(result.put_tape(tape))
}

pub fn inner_product<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    cotangent: &Tensor4<Cpu>,
) -> Result<Scalar<Cpu, T>, CpuError> {
    assert_eq!(
        x.shape(),
        cotangent.shape(),
        "an inner product needs two arrays of one shape"
    );
    let (values, slope) = (read(&x), read(cotangent));
    let product = values
        .iter()
        .zip(slope.iter())
        .map(|(x, v)| f64::from(*x) * f64::from(*v))
        .sum();
    scalar(x, product, slope)
}

pub fn mean_squared_error<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    target: &Tensor4<Cpu>,
    weights: &[f32],
) -> Result<Scalar<Cpu, T>, CpuError> {
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
    let (mut slope, target) = (read(&x), read(target));
    let count = slope.len();
    let image_len = count / weights.len();
    let mut sum = 0.0;
    let images = slope.chunks_exact_mut(image_len).zip(target.chunks_exact(image_len));
    for ((x, target), weight) in images.zip(weights) {
        for (x, target) in x.iter_mut().zip(target) {
            let difference = *x - target;
            sum += f64::from(weight * difference * difference);
            *x = 2.0 * weight * difference / count as f32;
        }
    }
    scalar(x, sum / count as f64, slope)
}
