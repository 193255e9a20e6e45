//! Attention on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::attention::AttentionShape;
use kernels::scratch::Scratch;

use crate::backend::Tensor4;
use crate::cpu::map::{Order, add_planes, read_planes};
use crate::cpu::tape::take_gradient;

pub fn attend<T: Tape<f32, Cpu>>(qkv: Tensor4<Cpu, T>, heads: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
    let (input_shape @ (batch, channels, height, width), order) = (*qkv.shape(), Order::of(&qkv));
    assert_eq!(
        channels % (3 * heads),
        0,
        "{channels} channels do not split into q, k, v of {heads} heads"
    );
    let shape = AttentionShape {
        batch,
        heads,
        head_dim: channels / (3 * heads),
        tokens: height * width,
    };
    let (qkv, mut tape) = qkv.split_tape();
    let input = read_planes(&qkv);
    let mut output = vec![0.0; input.len() / 3];
    let mut probabilities = vec![0.0; batch * heads * shape.tokens * shape.tokens];
    kernels::attention::attention(&shape, &input, &mut output, &mut probabilities);
    let y = qkv
        .device()
        .try_tensor_from_vec(output, (batch, channels / 3, height, width))?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (qkv.ghost(), y.ghost());
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            let mut dx = Scratch::zeros(input.len());
            kernels::attention::attention_grad(&shape, &input, &probabilities, &dy, &mut dx);
            add_planes(&dx, input_shape, order, gradients.get_or_alloc_mut(&x_ghost)?);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
