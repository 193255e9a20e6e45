//! Upsampling, averages, pixel shuffles, and a half turn, on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, PutTape, SplitTape, Tape};
use kernels::channels_last::Onto;
use kernels::cuda::{Buffer, Kernels, Launched};

use crate::backend::Tensor4;
use crate::features::Features;
use crate::gpu::Gpu;
use crate::gpu::context::read;
use crate::gpu::map::{Recorded, Shape4};

pub fn upsample2<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let (b, c, h, w) = x.map.shape;
    let y = x.map.kernels().upsample([h, w], &x.map.values)?;
    let y = Recorded::new(x.map.beside(y, (b, c, 2 * h, 2 * w)));
    if T::OWNS_TAPE {
        let (context, y_gradient) = (x.map.context.clone(), y.gradient.clone());
        let x = x.gradient;
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.add(|others| Ok(context.kernels.upsample_gradient(w, &dy, others)?))
        });
    }
    Ok(Features::new(y, tape))
}

pub fn average_pool2<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let (b, c, h, w) = x.map.shape;
    assert!(
        h.is_multiple_of(2) && w.is_multiple_of(2),
        "an image of {h}x{w} pixels does not split into blocks of 2x2"
    );
    let small @ [height, width] = [h / 2, w / 2];
    let y = x.map.kernels().average_pool(width, &x.map.values)?;
    let y = Recorded::new(x.map.beside(y, (b, c, height, width)));
    if T::OWNS_TAPE {
        let (context, y_gradient) = (x.map.context.clone(), y.gradient.clone());
        let x = x.gradient;
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.add(|others| Ok(context.kernels.average_pool_gradient(small, &dy, others)?))
        });
    }
    Ok(Features::new(y, tape))
}

/// An op that moves the pixels of images: the kernel `there` and, for its gradient, `back`.
fn moved<T: Tape<f32, Cuda>>(
    x: Tensor4<Gpu, T>,
    output_shape: Shape4,
    there: impl Fn(&Kernels, &Buffer, Onto, &mut Buffer) -> Launched,
    back: impl Fn(&Kernels, &Buffer, Onto, &mut Buffer) -> Launched + 'static,
) -> Result<Tensor4<Gpu, T>, CudaError> {
    let (mut x, mut tape) = x.split_tape();
    let (context, input) = read(&mut x)?;
    let (b, c, h, w) = output_shape;
    let mut output = context.kernels.take(b * c * h * w)?;
    there(&context.kernels, &input, Onto::Overwrite, &mut output)?;
    let y = context.images(output_shape, output)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = context.take(gradients.get_or_alloc_mut(&y_ghost)?)?;
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            Ok(back(&context.kernels, &dy, Onto::Add, dx)?)
        });
    }
    Ok(y.put_tape(tape))
}

pub fn half_turn<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>) -> Result<Tensor4<Gpu, T>, CudaError> {
    let shape @ (.., h, w) = *x.shape();
    let turn = move |kernels: &Kernels, x: &Buffer, onto, y: &mut Buffer| kernels.half_turn(h * w, x, onto, y);
    moved(x, shape, turn, turn)
}

pub fn pixel_unshuffle<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>, factor: usize) -> Result<Tensor4<Gpu, T>, CudaError> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(factor) && w.is_multiple_of(factor),
        "an image of {h}x{w} pixels does not split into blocks of {factor}x{factor}"
    );
    let small = [h / factor, w / factor];
    moved(
        x,
        (b, c * factor * factor, small[0], small[1]),
        move |kernels, x, onto, y| kernels.pixel_unshuffle(small, factor, x, onto, y),
        move |kernels, dy, onto, dx| kernels.pixel_shuffle(small, factor, dy, onto, dx),
    )
}

pub fn pixel_shuffle<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>, factor: usize) -> Result<Tensor4<Gpu, T>, CudaError> {
    let &(b, channels, h, w) = x.shape();
    let c = channels / (factor * factor);
    assert_eq!(
        c * factor * factor,
        channels,
        "{channels} channels do not fill blocks of {factor}x{factor} pixels"
    );
    moved(
        x,
        (b, c, h * factor, w * factor),
        move |kernels, x, onto, y| kernels.pixel_shuffle([h, w], factor, x, onto, y),
        move |kernels, dy, onto, dx| kernels.pixel_unshuffle([h, w], factor, dy, onto, dx),
    )
}
