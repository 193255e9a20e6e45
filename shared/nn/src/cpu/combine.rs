//! Two become one, on the tape: the sum of two feature maps, their channels side by side, the blend of two images; a
//! map and a vector.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, Merge, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::channel_shift::{shift_channels as shift_pixels, shift_channels_grad};
use kernels::channels_last::{join_channels, split_channels};

use crate::backend::{Tensor2, Tensor4};
use crate::cpu::map::{Map, Recorded};
use crate::cpu::tape::{read, take_gradient};
use crate::features::Features;

pub fn add<T: Tape<f32, Cpu>>(x: Features<Cpu, T>, y: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
    let ((x, x_tape), (y, y_tape)) = (x.split(), y.split());
    let mut tape = x_tape.merge(y_tape);
    let mut sum = (*x.map).clone();
    sum.add(&y.map);
    let sum = Recorded::new(sum);
    if T::OWNS_TAPE {
        let sum_gradient = sum.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(d) = sum_gradient.take() else { return Ok(()) };
            x.gradient.add(d.clone());
            y.gradient.add(d);
            Ok(())
        });
    }
    Ok(Features::new(sum, tape))
}

pub fn concat_channels<T: Tape<f32, Cpu>>(
    x: Features<Cpu, T>,
    y: Features<Cpu, T>,
) -> Result<Features<Cpu, T>, CpuError> {
    let ((x, x_tape), (y, y_tape)) = (x.split(), y.split());
    let mut tape = x_tape.merge(y_tape);
    let (shape_x @ (b, c_x, h, w), shape_y @ (b_y, c_y, h_y, w_y)) = (x.map.shape, y.map.shape);
    assert_eq!((b, h, w), (b_y, h_y, w_y), "feature maps of two sizes cannot be joined");
    let mut joined = Map::take((b, c_x + c_y, h, w));
    join_channels([c_x, c_y], [&x.map.values, &y.map.values], &mut joined.values);
    let joined = Recorded::new(joined);
    if T::OWNS_TAPE {
        let joined_gradient = joined.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(d) = joined_gradient.take() else { return Ok(()) };
            let (mut dx, mut dy) = (Map::take(shape_x), Map::take(shape_y));
            split_channels([c_x, c_y], &d.values, [&mut dx.values, &mut dy.values]);
            x.gradient.add(dx);
            y.gradient.add(dy);
            Ok(())
        });
    }
    Ok(Features::new(joined, tape))
}

pub fn shift_channels<T, U>(x: Features<Cpu, T>, shift: Tensor2<Cpu, U>) -> Result<Features<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let (x, mut tape) = x.split();
    let (shift, shift_tape) = shift.split_tape();
    let (batch, channels, ..) = x.map.shape;
    assert_eq!(
        *shift.shape(),
        (batch, channels),
        "{batch} images of {channels} channels need as many numbers"
    );
    let pixels = x.map.pixels();
    let mut y = (*x.map).clone();
    shift_pixels(channels, pixels, &read(&shift), &mut y.values);
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        tape = tape.merge(shift_tape);
        let (y_gradient, shift_ghost) = (y.gradient.clone(), shift.ghost());
        tape.add_backward_op(move |gradients| {
            let Some(d) = y_gradient.take() else { return Ok(()) };
            if U::OWNS_TAPE {
                let dshift = gradients.get_or_alloc_mut(&shift_ghost)?;
                shift_channels_grad(channels, pixels, &d.values, dshift);
            }
            x.gradient.add(d);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}

pub fn blend<T: Tape<f32, Cpu>>(
    x: Tensor4<Cpu, T>,
    a: &[f32],
    y: Tensor4<Cpu, T>,
    b: &[f32],
) -> Result<Tensor4<Cpu, T>, CpuError> {
    let shape @ (batch, c, h, w) = *x.shape();
    assert_eq!(&shape, y.shape(), "images of two shapes cannot be blended");
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
