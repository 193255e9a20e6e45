//! A residual block as one op on the tape: its input is read once, and what lies between its layers never becomes a
//! tensor.

use std::rc::Rc;

use dfdx::tensor::{Cpu, CpuError, Merge, SplitTape, Tape};
use kernels::channels_last::Onto;
use kernels::norm::Activation;

use crate::backend::Tensor2;
use crate::cpu::map::{Map, Recorded};
use crate::cpu::norm::ModulationGradient;
use crate::cpu::norm_conv::NormConv;
use crate::features::Features;
use crate::layers::Residual;

pub fn residual<T, U>(
    x: Features<Cpu, T>,
    modulation: Tensor2<Cpu, U>,
    layers: &Residual<'_, Cpu>,
) -> Result<Features<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let (x, mut tape) = x.split();
    let (modulation, modulation_tape) = modulation.split_tape();
    let modulation = Some((&modulation, ModulationGradient::of::<U>()));
    let &Residual {
        norm1,
        conv1,
        norm2,
        conv2,
        skip,
    } = layers;

    // The sum starts from the skip connection, and the branch is added to it.
    let mut y = skip.map_or_else(|| (*x.map).clone(), |skip| skip.apply(&x.map));
    let mut h = Map::take(conv1.output_shape(x.map.shape));
    let first = NormConv::run(x.map, norm1, None, Activation::Silu, conv1, Onto::Overwrite, &mut h);
    let second = NormConv::run(
        Rc::new(h),
        norm2,
        modulation,
        Activation::Silu,
        conv2,
        Onto::Add,
        &mut y,
    );
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        tape = tape.merge(modulation_tape);
        let (first, second) = (first.gradient(conv1), second.gradient(conv2));
        let skip = skip.map(|skip| skip.gradient(first.input().shape));
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let dh = second.of_input(&dy, gradients)?;
            let mut dx = first.of_input(&dh, gradients)?;
            match &skip {
                Some(skip) => {
                    skip.add_to_parameters(Some(first.input()), &dy, gradients)?;
                    skip.add_to_input(&dy, &mut dx);
                }
                None => dx.add(&dy),
            }
            x.gradient.add(dx);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}
