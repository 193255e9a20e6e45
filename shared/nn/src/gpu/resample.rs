//! Upsampling and pixel shuffles on the tape.

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
    let y = x.map.kernels().upsample(h, w, &x.map.values)?;
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

/// How a kernel moves pixels, between maps of two sizes of which the smaller one is given.
type Move = fn(&Kernels, [usize; 2], usize, &Buffer, Onto, &mut Buffer) -> Launched;

/// An op that moves pixels: `there` and, for its gradient, `back`.
fn moved<T: Tape<f32, Cuda>>(
    x: Tensor4<Gpu, T>,
    output_shape: Shape4,
    small: [usize; 2],
    factor: usize,
    there: Move,
    back: Move,
) -> Result<Tensor4<Gpu, T>, CudaError> {
    let (mut x, mut tape) = x.split_tape();
    let (context, input) = read(&mut x)?;
    let (b, c, h, w) = output_shape;
    let mut output = context.kernels.take(b * c * h * w)?;
    there(&context.kernels, small, factor, &input, Onto::Overwrite, &mut output)?;
    let y = context.images(output_shape, output)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = context.take(gradients.get_or_alloc_mut(&y_ghost)?)?;
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            Ok(back(&context.kernels, small, factor, &dy, Onto::Add, dx)?)
        });
    }
    Ok(y.put_tape(tape))
}

pub fn pixel_unshuffle<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>, factor: usize) -> Result<Tensor4<Gpu, T>, CudaError> {
    let &(b, c, h, w) = x.shape();
    assert!(
        h.is_multiple_of(factor) && w.is_multiple_of(factor),
        "an image of {h}x{w} pixels does not split into blocks of {factor}x{factor}"
    );
    let small = [h / factor, w / factor];
    let shape = (b, c * factor * factor, small[0], small[1]);
    moved(
        x,
        shape,
        small,
        factor,
        Kernels::pixel_unshuffle,
        Kernels::pixel_shuffle,
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
    let shape = (b, c, h * factor, w * factor);
    moved(
        x,
        shape,
        [h, w],
        factor,
        Kernels::pixel_shuffle,
        Kernels::pixel_unshuffle,
    )
}
