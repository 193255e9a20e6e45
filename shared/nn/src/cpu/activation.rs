//! SiLU by itself on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};

use crate::backend::Tensor2;
use crate::cpu::tape::{read, take_gradient};

pub fn silu<T: Tape<f32, Cpu>>(x: Tensor2<Cpu, T>) -> Result<Tensor2<Cpu, T>, CpuError> {
    let shape = *x.shape();
    let (x, mut tape) = x.split_tape();
    let input = read(&x);
    let mut output = vec![0.0; input.len()];
    kernels::elementwise::silu(&input, &mut output);
    let y = x.device().try_tensor_from_vec(output, shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            kernels::elementwise::silu_grad(&input, &dy, gradients.get_or_alloc_mut(&x_ghost)?);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
