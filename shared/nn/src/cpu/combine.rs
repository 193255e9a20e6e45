//! Two feature maps become one, on the tape: their sum, their blend, their channels side by side.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::channels_last::{join_channels, split_channels};
use kernels::elementwise::add_assign;
use kernels::scratch::Scratch;

use crate::backend::Tensor4;
use crate::cpu::map::{Map, Order, add_planes, read_planes};
use crate::cpu::tape::take_gradient;

pub fn add<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, y: Tensor4<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (shape, orders) = (*x.shape(), [Order::of(&x), Order::of(&y)]);
    assert_eq!(&shape, y.shape(), "feature maps of two shapes cannot be added");
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let mut sum = Map::read(&x);
    add_assign(&mut sum.values, &Map::read(&y).values);
    let sum = sum.to_tensor(x.device())?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, sum_ghost) = (x.ghost(), y.ghost(), sum.ghost());
        tape.add_backward_op(move |gradients| {
            let d = Map::from_gradient(&take_gradient!(gradients, sum_ghost), shape);
            d.add_to(gradients.get_or_alloc_mut(&x_ghost)?, orders[0]);
            d.add_to(gradients.get_or_alloc_mut(&y_ghost)?, orders[1]);
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
    let (shape @ (batch, c, h, w), orders) = (*x.shape(), [Order::of(&x), Order::of(&y)]);
    assert_eq!(&shape, y.shape(), "feature maps of two shapes cannot be blended");
    assert!(
        a.len() == batch && b.len() == batch,
        "a batch of {batch} images needs as many coefficients"
    );
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let image_len = c * h * w;
    let mut sum = vec![0.0; batch * image_len];
    add_scaled(&mut sum, &read_planes(&x), a);
    add_scaled(&mut sum, &read_planes(&y), b);
    let sum = x.device().try_tensor_from_vec(sum, shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, sum_ghost) = (x.ghost(), y.ghost(), sum.ghost());
        let (a, b) = (a.to_vec(), b.to_vec());
        tape.add_backward_op(move |gradients| {
            let d = take_gradient!(gradients, sum_ghost);
            let scaled = |factors: &[f32]| {
                let mut scaled = Scratch::zeros(d.len());
                add_scaled(&mut scaled, &d, factors);
                scaled
            };
            add_planes(&scaled(&a), shape, orders[0], gradients.get_or_alloc_mut(&x_ghost)?);
            add_planes(&scaled(&b), shape, orders[1], gradients.get_or_alloc_mut(&y_ghost)?);
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
    let (shape_x @ (b, c_x, h, w), shape_y @ (b_y, c_y, h_y, w_y)) = (*x.shape(), *y.shape());
    assert_eq!((b, h, w), (b_y, h_y, w_y), "feature maps of two sizes cannot be joined");
    let orders = [Order::of(&x), Order::of(&y)];
    let ((x, x_tape), (y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let shape = (b, c_x + c_y, h, w);
    let mut joined = Map::take(shape);
    join_channels(
        [c_x, c_y],
        [&Map::read(&x).values, &Map::read(&y).values],
        &mut joined.values,
    );
    let joined = joined.to_tensor(x.device())?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, joined_ghost) = (x.ghost(), y.ghost(), joined.ghost());
        tape.add_backward_op(move |gradients| {
            let d = Map::from_gradient(&take_gradient!(gradients, joined_ghost), shape);
            let (mut dx, mut dy) = (Map::take(shape_x), Map::take(shape_y));
            split_channels([c_x, c_y], &d.values, [&mut dx.values, &mut dy.values]);
            dx.add_to(gradients.get_or_alloc_mut(&x_ghost)?, orders[0]);
            dy.add_to(gradients.get_or_alloc_mut(&y_ghost)?, orders[1]);
            Ok(())
        });
    }
    Ok(joined.put_tape(tape))
}
