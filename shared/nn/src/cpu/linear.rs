//! The fully connected layer on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};

use crate::backend::Tensor2;
use crate::cpu::tape::{read, take_gradient};
use crate::layers::Linear;

pub fn linear<T: Tape<f32, Cpu>>(x: Tensor2<Cpu, T>, layer: &Linear<Cpu>) -> Result<Tensor2<Cpu, T>, CpuError> {
    let &(batch, features) = x.shape();
    let (f_in, f_out) = (layer.features_in, layer.features_out);
    assert_eq!(features, f_in, "a linear layer of {f_in} features got {features}");
    let (x, mut tape) = x.split_tape();
    let weight = read(layer.weight.value());
    let input = read(&x);
    let mut output = vec![0.0; batch * f_out];
    kernels::linear::linear(
        batch,
        f_in,
        f_out,
        &input,
        &weight,
        &read(layer.bias.value()),
        &mut output,
    );
    let y = x.device().try_tensor_from_vec(output, (batch, f_out))?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        let trained = layer
            .weight
            .is_trainable()
            .then(|| (layer.weight.value().ghost(), layer.bias.value().ghost()));
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            kernels::linear::linear_input_grad(batch, f_in, f_out, &weight, &dy, gradients.get_or_alloc_mut(&x_ghost)?);
            if let Some((weight_ghost, bias_ghost)) = trained {
                // Two buffers of one table cannot be borrowed at once: lift the bias gradient out for the call.
                let mut db = take_gradient!(gradients, bias_ghost);
                let dw = gradients.get_or_alloc_mut(&weight_ghost)?;
                kernels::linear::linear_weight_grad(batch, f_in, f_out, &input, &dy, dw, &mut db);
                **gradients.get_or_alloc_mut(&bias_ghost)? = db;
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
