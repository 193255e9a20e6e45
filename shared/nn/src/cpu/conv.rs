//! Convolution on the tape.

use std::sync::Arc;

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::conv::{ConvShape, PackedWeights};

use super::tape::{read, take_gradient};
use crate::versioned::Versioned;
use crate::{Conv2d, Tensor4};

/// The weights in the order that the kernels read them, for the forward pass and for the input gradient.
#[derive(Debug, Default)]
pub struct ConvCache {
    forward: Versioned<PackedWeights>,
    input_gradient: Versioned<PackedWeights>,
}

impl Conv2d<Cpu> {
    fn packed_forward(&self) -> Arc<PackedWeights> {
        self.cache.forward.get(self.weight.version(), || {
            kernels::conv::pack_forward(self.c_in, self.c_out, self.kernel, self.stride, &read(self.weight.value()))
        })
    }

    fn packed_input_gradient(&self) -> Arc<PackedWeights> {
        self.cache.input_gradient.get(self.weight.version(), || {
            kernels::conv::pack_input_grad(self.c_in, self.c_out, self.kernel, self.stride, &read(self.weight.value()))
        })
    }
}

pub fn conv2d<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, layer: &Conv2d<Cpu>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let &(batch, channels, height, width) = x.shape();
    assert_eq!(channels, layer.c_in, "a convolution of {} channels got an input of {channels}", layer.c_in);
    let shape = ConvShape {
        batch,
        c_in: layer.c_in,
        c_out: layer.c_out,
        height,
        width,
        kernel: layer.kernel,
        stride: layer.stride,
    };
    let (x, mut tape) = x.split_tape();
    let input = read(&x);
    let mut output = vec![0.0; shape.output_len()];
    kernels::conv::conv_forward(&shape, &input, &layer.packed_forward(), &read(layer.bias.value()), &mut output);
    let output_shape = (batch, layer.c_out, shape.out_height(), shape.out_width());
    let y = x.device().try_tensor_from_vec(output, output_shape)?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        let packed = layer.packed_input_gradient();
        let trained = layer
            .weight
            .is_trainable()
            .then(|| (input, layer.weight.value().ghost(), layer.bias.value().ghost()));
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            kernels::conv::conv_input_grad(&shape, &dy, &packed, gradients.get_or_alloc_mut(&x_ghost)?);
            if let Some((input, weight, bias)) = trained {
                kernels::conv::conv_weight_grad(&shape, &input, &dy, gradients.get_or_alloc_mut(&weight)?);
                kernels::conv::conv_bias_grad(&shape, &dy, gradients.get_or_alloc_mut(&bias)?);
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
