//! Two feature maps become one, on the tape: their sum, their blend, their channels side by side.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::elementwise::add_assign;
use rayon::prelude::*;

use crate::backend::Tensor4;
use crate::cpu::tape::{read, take_gradient};

pub fn add<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, y: Tensor4<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let shape @ (b, c, h, w) = *x.shape();
    assert_eq!(&shape, y.shape(), "feature maps of two shapes cannot be added");
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let mut sum = vec![0.0; b * c * h * w];
    x.copy_into(&mut sum);
    add_assign(&mut sum, &read(&y));
    let sum = x.device().try_tensor_from_vec(sum, shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, sum_ghost) = (x.ghost(), y.ghost(), sum.ghost());
        tape.add_backward_op(move |gradients| {
            let d = take_gradient!(gradients, sum_ghost);
            add_assign(gradients.get_or_alloc_mut(&x_ghost)?, &d);
            add_assign(gradients.get_or_alloc_mut(&y_ghost)?, &d);
            Ok(())
        });
    }
    Ok(sum.put_tape(tape))
}

pub fn blend<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    a: &[f32],
    y: Tensor4<Cpu, T>,
    b: &[f32],
) -> Result<Tensor4<Cpu, T>, CpuError> {
    let shape @ (batch, c, h, w) = *x.shape();
    assert_eq!(&shape, y.shape(), "feature maps of two shapes cannot be blended");
    assert!(
        a.len() == batch && b.len() == batch,
        "a batch of {batch} images needs as many coefficients"
    );
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let image_len = c * h * w;
    let mut sum = vec![0.0; batch * image_len];
    add_scaled(&mut sum, &read(&x), a);
    add_scaled(&mut sum, &read(&y), b);
    let sum = x.device().try_tensor_from_vec(sum, shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, sum_ghost) = (x.ghost(), y.ghost(), sum.ghost());
        let (a, b) = (a.to_vec(), b.to_vec());
        tape.add_backward_op(move |gradients| {
            let d = take_gradient!(gradients, sum_ghost);
            add_scaled(gradients.get_or_alloc_mut(&x_ghost)?, &d, &a);
            add_scaled(gradients.get_or_alloc_mut(&y_ghost)?, &d, &b);
            Ok(())
        });
    }
    Ok(sum.put_tape(tape))
}

/// `y_i += a_i x_i` for each image `i`.
fn add_scaled(y: &mut [f32], x: &[f32], a: &[f32]) {
    let image_len = y.len() / a.len();
    let images = y.chunks_exact_mut(image_len).zip(x.chunks_exact(image_len));
    for ((y, x), a) in images.zip(a) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
    }
}

pub fn concat_channels<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, y: Tensor4<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (&(b, c_x, h, w), &(b_y, c_y, h_y, w_y)) = (x.shape(), y.shape());
    assert_eq!((b, h, w), (b_y, h_y, w_y), "feature maps of two sizes cannot be joined");
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let (len_x, len_y) = (c_x * h * w, c_y * h * w);
    let mut joined = vec![0.0; b * (len_x + len_y)];
    let (x_values, y_values) = (read(&x), read(&y));
    joined
        .par_chunks_exact_mut(len_x + len_y)
        .zip(x_values.par_chunks_exact(len_x).zip(y_values.par_chunks_exact(len_y)))
        .for_each(|(joined, (x, y))| {
            joined[..len_x].copy_from_slice(x);
            joined[len_x..].copy_from_slice(y);
        });
    let joined = x.device().try_tensor_from_vec(joined, (b, c_x + c_y, h, w))?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, joined_ghost) = (x.ghost(), y.ghost(), joined.ghost());
        tape.add_backward_op(move |gradients| {
            let d = take_gradient!(gradients, joined_ghost);
            let images = || d.par_chunks_exact(len_x + len_y);
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            dx.par_chunks_exact_mut(len_x)
                .zip(images())
                .for_each(|(dx, d)| add_assign(dx, &d[..len_x]));
            let dy = gradients.get_or_alloc_mut(&y_ghost)?;
            dy.par_chunks_exact_mut(len_y)
                .zip(images())
                .for_each(|(dy, d)| add_assign(dy, &d[len_x..]));
            Ok(())
        });
    }
    Ok(joined.put_tape(tape))
}
