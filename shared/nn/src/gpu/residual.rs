//! A residual block as one op on the tape: the sum of branch and skip connection is made where the branch's last
//! convolution writes, and that of their gradients where the first norm's gradient does.

use std::rc::Rc;

use dfdx::tensor::{Cuda, CudaError, Merge, Tape};
use kernels::norm::Activation;

use crate::features::{Features, Vectors};
use crate::gpu::Gpu;
use crate::gpu::map::Recorded;
use crate::gpu::norm::Modulation;
use crate::gpu::norm_conv::NormConv;
use crate::layers::Residual;

pub fn residual<T, U>(
    x: Features<Gpu, T>,
    modulation: Vectors<Gpu, U>,
    layers: &Residual<'_, Gpu>,
) -> Result<Features<Gpu, T>, CudaError>
where
    T: Tape<f32, Cuda> + Merge<U>,
    U: Tape<f32, Cuda>,
{
    let (x, mut tape) = x.split();
    let (modulation, modulation_tape) = modulation.split();
    let modulation = Some(Modulation::of::<U>(modulation));
    let &Residual {
        norm1,
        conv1,
        norm2,
        conv2,
        skip,
    } = layers;
    let skipped = skip.map(|skip| skip.apply(&x.map, None, None)).transpose()?;
    let skipped = skipped.as_ref().map_or(&x.map.values, |skipped| &skipped.values);
    let (first, h) = NormConv::run(x.map.clone(), norm1, None, Activation::Silu, conv1, None)?;
    let (second, y) = NormConv::run(Rc::new(h), norm2, modulation, Activation::Silu, conv2, Some(skipped))?;
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        tape = tape.merge(modulation_tape);
        let skip = skip.map(|skip| skip.gradient(&x.map)).transpose()?;
        let (first, second) = (first.gradient(conv1)?, second.gradient(conv2)?);
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let dh = second.of_input(&dy, None, gradients)?;
            let x_map = first.input();
            x.gradient.add(|others| {
                let through_skip = match (&skip, others) {
                    (Some(skip), others) => {
                        skip.add_to_parameters(x_map, None, &dy, gradients)?;
                        skip.of_input(&x_map.context, &dy, others)?
                    }
                    (None, Some(others)) => x_map.kernels().add(&dy, others)?,
                    (None, None) => dy,
                };
                first.of_input(&dh, Some(&through_skip), gradients)
            })
        });
    }
    Ok(Features::new(y, tape))
}
