//! Where images enter a network and leave it, on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::channels_last::{Onto, from_channels_last, to_channels_last};

use crate::backend::Tensor4;
use crate::cpu::map::{Map, Recorded, Shape4};
use crate::cpu::tape::{read, take_gradient};
use crate::features::Features;

/// Values `[batch][channels][height][width]` as a map.
fn turn_in(x: &[f32], shape: Shape4) -> Map {
    let mut map = Map::take(shape);
    to_channels_last(shape.1, map.pixels(), x, &mut map.values);
    map
}

pub fn features<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let y = Recorded::new(turn_in(&read(&x), *x.shape()));
    if T::OWNS_TAPE {
        let (x_ghost, y_gradient) = (x.ghost(), y.gradient.clone());
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let dx = gradients.get_or_alloc_mut(&x_ghost)?;
            from_channels_last(dy.shape.1, dy.pixels(), &dy.values, Onto::Add, dx);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}

pub fn images<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split();
    let shape @ (batch, channels, height, width) = x.map.shape;
    let mut values = vec![0.0; batch * channels * height * width];
    from_channels_last(channels, x.map.pixels(), &x.map.values, Onto::Overwrite, &mut values);
    let y = Cpu::default().try_tensor_from_vec(values, shape)?;
    if T::OWNS_TAPE {
        let y_ghost = y.ghost();
        tape.add_backward_op(move |gradients| {
            x.gradient.add(turn_in(&take_gradient!(gradients, y_ghost), shape));
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
