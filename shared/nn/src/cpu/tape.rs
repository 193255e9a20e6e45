//! Reading tensors and gradients as plain vectors.

use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cpu, Tensor};
use kernels::scratch::Scratch;

/// The values of `x`, row-major. One copy: dfdx does not lend its storage, and a slice made from the address of the
/// first element would be unsound.
pub fn read<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>) -> Scratch {
    assert!(
        is_contiguous(x),
        "expected a tensor stored row-major, got strides of a permuted or broadcast one"
    );
    let mut values = Scratch::take(x.shape().num_elements());
    x.copy_into(&mut values);
    values
}

/// Whether the elements of `x` lie in memory in row-major order. dfdx keeps the strides to itself, so compare
/// addresses: one step along each axis must move by the product of the sizes behind it.
fn is_contiguous<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>) -> bool {
    let shape = x.shape().concrete();
    if x.shape().num_elements() == 0 {
        return true;
    }
    let mut index = shape;
    for i in 0..S::NUM_DIMS {
        index[i] = 0;
    }
    let origin = &x[index] as *const f32 as usize;
    let mut stride = std::mem::size_of::<f32>();
    for axis in (0..S::NUM_DIMS).rev() {
        if shape[axis] > 1 {
            let mut step = index;
            step[axis] = 1;
            if (&x[step] as *const f32 as usize).wrapping_sub(origin) != stride {
                return false;
            }
        }
        stride *= shape[axis];
    }
    true
}

/// Takes the gradient of an intermediate result out of the table. Nothing reads it again, so its memory is free for
/// the rest of the backward pass.
macro_rules! take_gradient {
    ($gradients:expr, $ghost:expr) => {
        std::mem::take(&mut **$gradients.get_or_alloc_mut(&$ghost)?)
    };
}
pub(crate) use take_gradient;
