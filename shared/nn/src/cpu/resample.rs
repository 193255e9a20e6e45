//! Upsampling and pixel shuffles on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::scratch::Scratch;

use crate::backend::Tensor4;
use crate::cpu::map::{Map, Order, Shape4, add_planes, read_planes};
use crate::cpu::tape::take_gradient;

pub fn upsample2<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (shape @ (b, c, h, w), order) = (*x.shape(), Order::of(&x));
    let output_shape = (b, c, 2 * h, 2 * w);
    let (x, mut tape) = x.split_tape();
    let mut output = Map::take(output_shape);
    kernels::resample::upsample2(b * h, w, output.depth(), &Map::read(&x).values, &mut output.values);
    let y = output.to_tensor(x.device())?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = Map::from_gradient(&take_gradient!(gradients, y_ghost), output_shape);
            let mut dx = Map::take(shape);
            kernels::resample::upsample2_grad(b * h, w, dx.depth(), &dy.values, &mut dx.values);
            dx.add_to(gradients.get_or_alloc_mut(&x_ghost)?, order);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

/// An op that moves the values of row-major images about: `forward(x, y)` and its inverse `back(dy, dx)`, which is its
/// adjoint, overwrite their second argument.
fn shuffle<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    output_shape: Shape4,
    forward: impl Fn(&[f32], &mut [f32]),
    back: impl Fn(&[f32], &mut [f32]) + 'static,
) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (shape, order) = (*x.shape(), Order::of(&x));
    let (x, mut tape) = x.split_tape();
    let input = read_planes(&x);
    let mut output = vec![0.0; input.len()];
    forward(&input, &mut output);
    let y = x.device().try_tensor_from_vec(output, output_shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            let mut dx = Scratch::take(dy.len());
            back(&dy, &mut dx);
            add_planes(&dx, shape, order, gradients.get_or_alloc_mut(&x_ghost)?);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

pub fn pixel_unshuffle<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, factor: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(factor) && w.is_multiple_of(factor),
        "an image of {h}x{w} pixels does not split into blocks of {factor}x{factor}"
    );
    shuffle(
        x,
        (b, c * factor * factor, h / factor, w / factor),
        move |x, y| kernels::resample::pixel_unshuffle(b, c, h, w, factor, x, y),
        move |dy, dx| kernels::resample::pixel_shuffle(b, c, h, w, factor, dy, dx),
    )
}

pub fn pixel_shuffle<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, factor: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
    let &(b, channels, h, w) = x.shape();
    let c = channels / (factor * factor);
    assert_eq!(
        c * factor * factor,
        channels,
        "{channels} channels do not fill blocks of {factor}x{factor} pixels"
    );
    let (out_h, out_w) = (h * factor, w * factor);
    shuffle(
        x,
        (b, c, out_h, out_w),
        move |x, y| kernels::resample::pixel_shuffle(b, c, out_h, out_w, factor, x, y),
        move |dy, dx| kernels::resample::pixel_unshuffle(b, c, out_h, out_w, factor, dy, dx),
    )
}
