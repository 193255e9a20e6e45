//! Upsampling, averages and pixel shuffles on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::elementwise::add_assign;

use crate::backend::Tensor4;
use crate::cpu::map::{Map, Recorded};
use crate::cpu::tape::{read, take_gradient};
use crate::features::Features;

/// An op whose gradient needs no stored values: `forward(x, y)` overwrites `y`, `adjoint(dy, dx)` adds to `dx`.
fn linear_map<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    output_shape: (usize, usize, usize, usize),
    forward: impl Fn(&[f32], &mut [f32]),
    adjoint: impl Fn(&[f32], &mut [f32]) + 'static,
) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let (b, c, h, w) = output_shape;
    let mut output = vec![0.0; b * c * h * w];
    forward(&read(&x), &mut output);
    let y = x.device().try_tensor_from_vec(output, output_shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            adjoint(&dy, gradients.get_or_alloc_mut(&x_ghost)?);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

pub fn upsample2<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split();
    let (shape @ (b, c, h, w), depth) = (x.map.shape, x.map.depth());
    let mut y = Map::take((b, c, 2 * h, 2 * w));
    kernels::resample::upsample2(b * h, w, depth, &x.map.values, &mut y.values);
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let mut dx = Map::take(shape);
            kernels::resample::upsample2_grad(b * h, w, depth, &dy.values, &mut dx.values);
            x.gradient.add(dx);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}

pub fn average_pool2<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split();
    let (shape @ (b, c, h, w), depth) = (x.map.shape, x.map.depth());
    assert!(
        h.is_multiple_of(2) && w.is_multiple_of(2),
        "an image of {h}x{w} pixels does not split into blocks of 2x2"
    );
    let (rows, width) = (b * h / 2, w / 2);
    let mut y = Map::take((b, c, h / 2, w / 2));
    kernels::resample::average_pool2(rows, width, depth, &x.map.values, &mut y.values);
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let mut dx = Map::take(shape);
            kernels::resample::average_pool2_grad(rows, width, depth, &dy.values, &mut dx.values);
            x.gradient.add(dx);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}

pub fn pixel_unshuffle<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, factor: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(factor) && w.is_multiple_of(factor),
        "an image of {h}x{w} pixels does not split into blocks of {factor}x{factor}"
    );
    linear_map(
        x,
        (b, c * factor * factor, h / factor, w / factor),
        move |x, y| kernels::resample::pixel_unshuffle(b, c, h, w, factor, x, y),
        move |dy, dx| {
            let mut shuffled = vec![0.0; dx.len()];
            kernels::resample::pixel_shuffle(b, c, h, w, factor, dy, &mut shuffled);
            add_assign(dx, &shuffled);
        },
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
    linear_map(
        x,
        (b, c, out_h, out_w),
        move |x, y| kernels::resample::pixel_shuffle(b, c, out_h, out_w, factor, x, y),
        move |dy, dx| {
            let mut unshuffled = vec![0.0; dx.len()];
            kernels::resample::pixel_unshuffle(b, c, out_h, out_w, factor, dy, &mut unshuffled);
            add_assign(dx, &unshuffled);
        },
    )
}
