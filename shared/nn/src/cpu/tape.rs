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

/// Whether the elements of `x` lie in memory in row-major order.
fn is_contiguous<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>) -> bool {
    let shape = x.shape().concrete();
    let mut expected = size_of::<f32>();
    for axis in (0..S::NUM_DIMS).rev() {
        if step_in_bytes(x, axis).is_some_and(|step| step != expected) {
            return false;
        }
        expected *= shape[axis];
    }
    true
}

/// Whether several elements of `x` are one place in memory, as along an axis that was broadcast.
pub fn repeats_elements<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>) -> bool {
    (0..S::NUM_DIMS).any(|axis| step_in_bytes(x, axis) == Some(0))
}

/// How far apart in memory two neighbours along `axis` are; none where it has no two elements. dfdx keeps the strides
/// to itself, so compare addresses.
fn step_in_bytes<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>, axis: usize) -> Option<usize> {
    let shape = x.shape().concrete();
    if x.shape().num_elements() == 0 || shape[axis] < 2 {
        return None;
    }
    let mut first = shape;
    for i in 0..S::NUM_DIMS {
        first[i] = 0;
    }
    let mut second = first;
    second[axis] = 1;
    let address = |index: S::Concrete| &raw const x[index] as usize;
    Some(address(second).wrapping_sub(address(first)))
}

/// Takes the gradient of an intermediate result out of the table. Nothing reads it again, so its memory is free for
/// the rest of the backward pass.
macro_rules! take_gradient {
    ($gradients:expr, $ghost:expr) => {
        std::mem::take(&mut **$gradients.get_or_alloc_mut(&$ghost)?)
    };
}
pub(crate) use take_gradient;
