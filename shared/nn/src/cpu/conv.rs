//! Convolution on the tape.

use std::sync::Arc;

use dfdx::tensor::{Cpu, CpuError, Gradients, Tape};
use kernels::channels_last::Onto;
use kernels::conv::{
    Algorithm, ConvShape, PackedWeights, conv_bias_grad, conv_forward, conv_input_grad, conv_weight_grad,
};

use crate::backend::Tensor1;
use crate::cpu::map::{Map, Recorded, Shape4};
use crate::cpu::tape::read;
use crate::features::Features;
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
    pub(super) fn packed_forward(&self, shape: &ConvShape) -> Arc<PackedWeights> {
        let algorithm = shape.algorithm();
        self.cache.forward[algorithm as usize].get(self.weight.version(), || {
            kernels::conv::pack_forward(shape, algorithm, &read(self.weight.value()))
        })
    }

    fn packed_input_gradient(&self, shape: &ConvShape) -> Arc<PackedWeights> {
        let algorithm = shape.algorithm();
        self.cache.input_gradient[algorithm as usize].get(self.weight.version(), || {
            kernels::conv::pack_input_grad(shape, algorithm, &read(self.weight.value()))
        })
    }

    /// The sizes of this convolution on an input of shape `[B, C, H, W]`.
    pub(super) fn shape(&self, (batch, channels, height, width): Shape4) -> ConvShape {
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

    /// The shape of the output for an input of that shape.
    pub(super) fn output_shape(&self, input: Shape4) -> Shape4 {
        let shape = self.shape(input);
        (shape.batch, shape.c_out, shape.out_height(), shape.out_width())
    }

    /// The layer's output.
    pub(super) fn apply(&self, x: &Map) -> Map {
        let mut y = Map::take(self.output_shape(x.shape));
        self.apply_onto(x, Onto::Overwrite, &mut y);
        y
    }

    /// Writes the layer's output to `y` or adds it, as `onto` says.
    pub(super) fn apply_onto(&self, x: &Map, onto: Onto, y: &mut Map) {
        let shape = self.shape(x.shape);
        let bias = read(self.bias.value());
        conv_forward(
            &shape,
            &x.values,
            &self.packed_forward(&shape),
            &bias,
            onto,
            &mut y.values,
        );
    }

    /// What the backward pass of this layer needs for an input of that shape, to be moved into its closure.
    pub(super) fn gradient(&self, input: Shape4) -> ConvGradient {
        let shape = self.shape(input);
        let parameters = || (self.weight.value().clone(), self.bias.value().clone());
        ConvGradient {
            input,
            shape,
            packed: self.packed_input_gradient(&shape),
            parameters: self.weight.is_trainable().then(parameters),
        }
    }
}

/// The gradients of one convolution.
pub struct ConvGradient {
    input: Shape4,
    pub(super) shape: ConvShape,
    pub(super) packed: Arc<PackedWeights>,
    /// Weight and bias, where they are trained.
    parameters: Option<(Tensor1<Cpu>, Tensor1<Cpu>)>,
}

impl ConvGradient {
    /// Whether the gradients of weight and bias are wanted: they need the layer's input.
    pub fn needs_input(&self) -> bool {
        self.parameters.is_some()
    }

    /// The gradient of the input.
    pub fn of_input(&self, dy: &Map) -> Map {
        let mut dx = Map::take(self.input);
        conv_input_grad(&self.shape, &dy.values, &self.packed, Onto::Overwrite, &mut dx.values);
        dx
    }

    /// Adds the gradient of the input to `dx`.
    pub fn add_to_input(&self, dy: &Map, dx: &mut Map) {
        conv_input_grad(&self.shape, &dy.values, &self.packed, Onto::Add, &mut dx.values);
    }

    /// Adds the gradients of weight and bias, where they are wanted.
    pub fn add_to_parameters(
        &self,
        input: Option<&Map>,
        dy: &Map,
        gradients: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        if let (Some((weight, bias)), Some(input)) = (&self.parameters, input) {
            let dw = gradients.get_or_alloc_mut(weight)?;
            conv_weight_grad(&self.shape, self.shape.algorithm(), &input.values, &dy.values, dw);
            conv_bias_grad(&self.shape, &dy.values, gradients.get_or_alloc_mut(bias)?);
        }
        Ok(())
    }
}

pub fn conv2d<T: Tape<f32, Cpu>>(x: Features<Cpu, T>, layer: &Conv2d<Cpu>) -> Result<Features<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split();
    let y = Recorded::new(layer.apply(&x.map));
    if T::OWNS_TAPE {
        let gradient = layer.gradient(x.map.shape);
        let input = gradient.needs_input().then_some(x.map);
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            gradient.add_to_parameters(input.as_deref(), &dy, gradients)?;
            x.gradient.add(gradient.of_input(&dy));
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}
