//! A residual block as one op on the tape: its input is read once, and what lies between its layers never becomes a
//! tensor.

use dfdx::tensor::{Cpu, CpuError, Merge, PutTape, SplitTape, Tape};
use kernels::channels_last::Onto;
use kernels::elementwise::add_assign;
use kernels::norm::Activation;

use crate::backend::{Tensor2, Tensor4};
use crate::cpu::map::{Map, Order};
use crate::cpu::norm::ModulationGradient;
use crate::cpu::norm_conv::NormConv;
use crate::cpu::tape::take_gradient;
use crate::layers::Residual;

pub fn residual<T, U>(
    x: Tensor4<Cpu, T>,
    modulation: Tensor2<Cpu, U>,
    layers: &Residual<'_, Cpu>,
) -> Result<Tensor4<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let order = Order::of(&x);
    let (x, mut tape) = x.split_tape();
    let (modulation, modulation_tape) = modulation.split_tape();
    let modulation = Some((&modulation, ModulationGradient::of::<U>()));
    let &Residual {
        norm1,
        conv1,
        norm2,
        conv2,
        skip,
    } = layers;

    let input = Map::read(&x);
    // The sum starts from the skip connection, and the branch is added to it.
    let mut output = skip.map_or_else(|| input.clone(), |skip| skip.apply(&input));
    let skip = skip.map(|skip| skip.gradient(input.shape));
    let mut h = Map::take(conv1.output_shape(input.shape));
    let first = NormConv::run(input, norm1, None, Activation::Silu, conv1, Onto::Overwrite, &mut h);
    let second = NormConv::run(h, norm2, modulation, Activation::Silu, conv2, Onto::Add, &mut output);
    let y = output.to_tensor(x.device())?;
    if T::OWNS_TAPE {
        tape = tape.merge(modulation_tape);
        let (x_ghost, y_ghost, shape) = (x.ghost(), y.ghost(), output.shape);
        tape.add_backward_op(move |gradients| {
            let dy = Map::from_gradient(&take_gradient!(gradients, y_ghost), shape);
            let dh = second.gradient(&dy, gradients)?;
            let mut dx = first.gradient(&dh, gradients)?;
            match &skip {
                Some(skip) => {
                    skip.add_to_parameters(Some(first.input()), &dy, gradients)?;
                    skip.add_to_input(&dy, &mut dx);
                }
                None => add_assign(&mut dx.values, &dy.values),
            }
            dx.add_to(gradients.get_or_alloc_mut(&x_ghost)?, order);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
