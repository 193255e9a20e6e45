//! Where tensors enter a network and leave it, on the tape.

use std::rc::Rc;

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cuda, CudaError, PutTape, SplitTape, Tape};

use crate::backend::{Tensor2, Tensor4};
use crate::features::{Features, Vectors};
use crate::gpu::Gpu;
use crate::gpu::context::read;
use crate::gpu::map::{Map, Recorded};

/// A tensor of any shape as a map, with the tape behind it.
macro_rules! enter {
    ($x:expr, $shape:expr) => {{
        let (mut x, mut tape) = $x.split_tape();
        let (context, values) = read(&mut x)?;
        let y = Recorded::new(Map {
            context,
            values,
            shape: $shape,
        });
        if T::OWNS_TAPE {
            let (x_ghost, y_gradient) = (x.ghost(), y.gradient.clone());
            let context = y.map.context.clone();
            tape.add_backward_op(move |gradients| {
                let Some(dy) = y_gradient.take() else { return Ok(()) };
                let dx = gradients.get_or_alloc_mut(&x_ghost)?;
                Ok(context.kernels.add_assign(dx, &dy)?)
            });
        }
        (y, tape)
    }};
}

pub fn features<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
    let shape = *x.shape();
    let (y, tape) = enter!(x, shape);
    Ok(Features::new(y, tape))
}

pub fn vectors<T: Tape<f32, Cuda>>(x: Tensor2<Gpu, T>) -> Result<Vectors<Gpu, T>, CudaError> {
    let &(batch, features) = x.shape();
    let (y, tape) = enter!(x, (batch, features, 1, 1));
    Ok(Vectors::new(y, tape))
}

pub fn images<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Tensor4<Gpu, T>, CudaError> {
    let (Recorded { map, gradient }, mut tape) = x.split();
    let (context, shape) = (map.context.clone(), map.shape);
    // The tensor gets the map's memory, or a copy where somebody else still needs it.
    let values = match Rc::try_unwrap(map) {
        Ok(map) => map.values,
        Err(map) => map.values.try_clone()?,
    };
    let y = context.images(shape, values)?;
    if T::OWNS_TAPE {
        let y_ghost = y.ghost();
        tape.add_backward_op(move |gradients| {
            let dy = context.take(gradients.get_or_alloc_mut(&y_ghost)?)?;
            gradient.add_part(&context.kernels, dy)
        });
    }
    Ok(y.put_tape(tape))
}
