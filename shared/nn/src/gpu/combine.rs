//! Two become one, on the tape: the sum of two feature maps, their channels side by side, the blend of two images; a
//! map and a vector.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, Merge, PutTape, SplitTape, Tape};

use crate::backend::Tensor4;
use crate::features::{Features, Vectors};
use crate::gpu::Gpu;
use crate::gpu::context::read;
use crate::gpu::map::Recorded;

pub fn add<T: Tape<f32, Cuda>>(x: Features<Gpu, T>, y: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
    let ((x, x_tape), (y, y_tape)) = (x.split(), y.split());
    let mut tape = x_tape.merge(y_tape);
    assert_eq!(x.map.shape, y.map.shape, "feature maps of two shapes cannot be added");
    let sum = x.map.kernels().add(&x.map.values, &y.map.values)?;
    let sum = Recorded::new(x.map.beside(sum, x.map.shape));
    if T::OWNS_TAPE {
        let (context, sum_gradient) = (x.map.context.clone(), sum.gradient.clone());
        let (x, y) = (x.gradient, y.gradient);
        tape.add_backward_op(move |_| {
            let Some(d) = sum_gradient.take() else { return Ok(()) };
            x.add_part(&context.kernels, d.try_clone()?)?;
            y.add_part(&context.kernels, d)
        });
    }
    Ok(Features::new(sum, tape))
}

pub fn concat_channels<T: Tape<f32, Cuda>>(
    x: Features<Gpu, T>,
    y: Features<Gpu, T>,
) -> Result<Features<Gpu, T>, CudaError> {
    let ((x, x_tape), (y, y_tape)) = (x.split(), y.split());
    let mut tape = x_tape.merge(y_tape);
    let ((b, c_x, h, w), (b_y, c_y, h_y, w_y)) = (x.map.shape, y.map.shape);
    assert_eq!((b, h, w), (b_y, h_y, w_y), "feature maps of two sizes cannot be joined");
    let joined = x.map.kernels().join_channels(b, &x.map.values, &y.map.values)?;
    let joined = Recorded::new(x.map.beside(joined, (b, c_x + c_y, h, w)));
    if T::OWNS_TAPE {
        let (context, joined_gradient) = (x.map.context.clone(), joined.gradient.clone());
        let (x, y) = (x.gradient, y.gradient);
        let (part_x, part_y) = (c_x * h * w, c_y * h * w);
        tape.add_backward_op(move |_| {
            let Some(d) = joined_gradient.take() else { return Ok(()) };
            let kernels = &context.kernels;
            x.add(|others| Ok(kernels.take_channels(b, &d, 0, part_x, others)?))?;
            y.add(|others| Ok(kernels.take_channels(b, &d, part_x, part_y, others)?))
        });
    }
    Ok(Features::new(joined, tape))
}

pub fn shift_channels<T, U>(x: Features<Gpu, T>, shift: Vectors<Gpu, U>) -> Result<Features<Gpu, T>, CudaError>
where
    T: Tape<f32, Cuda> + Merge<U>,
    U: Tape<f32, Cuda>,
{
    let (x, mut tape) = x.split();
    let (shift, shift_tape) = shift.split();
    let (batch, channels, ..) = x.map.shape;
    assert_eq!(
        shift.map.shape,
        (batch, channels, 1, 1),
        "{batch} images of {channels} channels need as many numbers"
    );
    let y = x.map.kernels().shift_channels(&x.map.values, &shift.map.values)?;
    let y = Recorded::new(x.map.beside(y, x.map.shape));
    if T::OWNS_TAPE {
        tape = tape.merge(shift_tape);
        let (context, y_gradient) = (x.map.context.clone(), y.gradient.clone());
        let (x, shift) = (x.gradient, shift.gradient);
        tape.add_backward_op(move |_| {
            let Some(d) = y_gradient.take() else { return Ok(()) };
            let kernels = &context.kernels;
            if U::OWNS_TAPE {
                shift.add_part(kernels, kernels.sum_pixels(batch * channels, &d)?)?;
            }
            x.add_part(kernels, d)
        });
    }
    Ok(Features::new(y, tape))
}

pub fn blend<T: Tape<f32, Cuda>>(
    x: Tensor4<Gpu, T>,
    a: &[f32],
    y: Tensor4<Gpu, T>,
    b: &[f32],
) -> Result<Tensor4<Gpu, T>, CudaError> {
    let shape @ (batch, ..) = *x.shape();
    assert_eq!(&shape, y.shape(), "images of two shapes cannot be blended");
    assert!(
        a.len() == batch && b.len() == batch,
        "a batch of {batch} images needs as many coefficients"
    );
    let ((mut x, x_tape), (mut y, y_tape)) = (x.split_tape(), y.split_tape());
    let mut tape = x_tape.merge(y_tape);
    let (context, x_values) = read(&mut x)?;
    let (_, y_values) = read(&mut y)?;
    let (a, b) = (context.upload(a)?, context.upload(b)?);
    let sum = context.kernels.blend(&x_values, &a, &y_values, &b)?;
    let sum = context.images(shape, sum)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost, sum_ghost) = (x.ghost(), y.ghost(), sum.ghost());
        tape.add_backward_op(move |gradients| {
            let d = context.take(gradients.get_or_alloc_mut(&sum_ghost)?)?;
            context
                .kernels
                .add_scaled(&d, &a, gradients.get_or_alloc_mut(&x_ghost)?)?;
            Ok(context
                .kernels
                .add_scaled(&d, &b, gradients.get_or_alloc_mut(&y_ghost)?)?)
        });
    }
    Ok(sum.put_tape(tape))
}
