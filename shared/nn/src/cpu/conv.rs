//! Convolution on the tape.

use std::sync::Arc;

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, Gradients, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::conv::{Algorithm, ConvShape, PackedWeights};

use crate::backend::{Tensor1, Tensor4};
use crate::cpu::tape::{read, take_gradient};
use crate::layers::Conv2d;
use crate::versioned::Versioned;

/// The weights in the order that the kernels read them, for the forward pass and for the input gradient, one set for
/// each algorithm that was asked for.
#[derive(Debug, Default)]
pub struct ConvCache {
    forward: [Versioned<PackedWeights>; Algorithm::ALL.len()],
    input_gradient: [Versioned<PackedWeights>; Algorithm::ALL.len()],
}

impl Conv2d<Cpu> {
    fn packed_forward(&self, shape: &ConvShape) -> Arc<PackedWeights> {
        self.cache.forward[shape.algorithm() as usize].get(self.weight.version(), || {
            kernels::conv::pack_forward(shape, &read(self.weight.value()))
        })
    }

    fn packed_input_gradient(&self, shape: &ConvShape) -> Arc<PackedWeights> {
        self.cache.input_gradient[shape.algorithm() as usize].get(self.weight.version(), || {
            kernels::conv::pack_input_grad(shape, &read(self.weight.value()))
        })
    }

    /// The sizes of this convolution on an input of shape `[B, C, H, W]`.
    pub(super) fn shape(&self, (batch, channels, height, width): (usize, usize, usize, usize)) -> ConvShape {
        assert_eq!(
            channels, self.c_in,
            "a convolution of {} channels got an input of {channels}",
            self.c_in
        );
        let (c_in, c_out, kernel, stride) = (self.c_in, self.c_out, self.kernel, self.stride);
        ConvShape {
            batch,
            c_in,
            c_out,
            height,
            width,
            kernel,
            stride,
        }
    }

    /// The forward pass on plain values.
    pub(super) fn apply(&self, shape: &ConvShape, input: &[f32], device: &Cpu) -> Result<Tensor4<Cpu>, CpuError> {
        let mut output = vec![0.0; shape.output_len()];
        kernels::conv::conv_forward(
            shape,
            input,
            &self.packed_forward(shape),
            &read(self.bias.value()),
            &mut output,
        );
        device.try_tensor_from_vec(
            output,
            (shape.batch, shape.c_out, shape.out_height(), shape.out_width()),
        )
    }

    /// What the backward pass of this layer needs, to be moved into its closure.
    pub(super) fn gradient(&self, shape: ConvShape) -> ConvGradient {
        let parameters = || (self.weight.value().clone(), self.bias.value().clone());
        ConvGradient {
            shape,
            packed: self.packed_input_gradient(&shape),
            parameters: self.weight.is_trainable().then(parameters),
        }
    }
}

/// The gradients of one convolution.
pub struct ConvGradient {
    shape: ConvShape,
    packed: Arc<PackedWeights>,
    /// Weight and bias, where they are trained.
    parameters: Option<(Tensor1<Cpu>, Tensor1<Cpu>)>,
}

impl ConvGradient {
    /// Whether the gradients of weight and bias are wanted: they need the layer's input.
    pub fn needs_input(&self) -> bool {
        self.parameters.is_some()
    }

    /// Adds the gradient of the input to `dx`.
    pub fn add_to_input(&self, dy: &[f32], dx: &mut [f32]) {
        kernels::conv::conv_input_grad(&self.shape, dy, &self.packed, dx);
    }

    /// Adds the gradients of weight and bias, where they are wanted.
    pub fn add_to_parameters(
        &self,
        input: Option<&[f32]>,
        dy: &[f32],
        gradients: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        if let (Some((weight, bias)), Some(input)) = (&self.parameters, input) {
            kernels::conv::conv_weight_grad(&self.shape, input, dy, gradients.get_or_alloc_mut(weight)?);
            kernels::conv::conv_bias_grad(&self.shape, dy, gradients.get_or_alloc_mut(bias)?);
        }
        Ok(())
    }
}

pub fn conv2d<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, layer: &Conv2d<Cpu>) -> Result<Tensor4<Cpu, T>, CpuError> {
    let shape = layer.shape(*x.shape());
    let (x, mut tape) = x.split_tape();
    let input = read(&x);
    let y = layer.apply(&shape, &input, x.device())?;
    if T::OWNS_TAPE {
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        let gradient = layer.gradient(shape);
        let input = gradient.needs_input().then_some(input);
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            gradient.add_to_parameters(input.as_deref(), &dy, gradients)?;
            gradient.add_to_input(&dy, gradients.get_or_alloc_mut(&x_ghost)?);
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}
