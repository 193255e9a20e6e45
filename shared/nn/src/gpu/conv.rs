//! Convolution on the tape.

use std::sync::Arc;

use dfdx::tensor::{Cuda, CudaError, Gradients, Tape};
use kernels::conv::ConvShape;
use kernels::cuda::{Buffer, Normalised, Turn};

use crate::backend::Tensor1;
use crate::features::Features;
use crate::gpu::Gpu;
use crate::gpu::context::Context;
use crate::gpu::map::{Map, Recorded, Shape4};
use crate::layers::Conv2d;
use crate::versioned::Versioned;

/// The weights in the order that the kernels read them, for the forward pass and for the input gradient.
#[derive(Debug, Default)]
pub struct ConvCache {
    forward: Versioned<Buffer>,
    input_gradient: Versioned<Buffer>,
}

impl Conv2d<Gpu> {
    fn packed(&self, context: &Context, turn: Turn) -> Result<Arc<Buffer>, CudaError> {
        let cache = match turn {
            Turn::Forward => &self.cache.forward,
            Turn::Backward => &self.cache.input_gradient,
        };
        cache.try_get(self.weight.version(), || {
            // A convolution of no images: packing knows of channels and kernel only.
            let shape = self.shape((0, self.c_in, 0, 0));
            let weights = self.weight.values_once(context)?;
            Ok(context.kernels.pack_weights(&shape, &weights, turn)?)
        })
    }

    /// The sizes of this convolution on an input of shape `[B, C, H, W]`.
    fn shape(&self, (batch, channels, height, width): Shape4) -> ConvShape {
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

    /// The layer's output for `x`, read through a norm where there is one; plus `add`, which has its shape.
    pub(super) fn apply(&self, x: &Map, norm: Option<&Normalised<'_>>, add: Option<&Buffer>) -> Result<Map, CudaError> {
        let shape = self.shape(x.shape);
        let packed = self.packed(&x.context, Turn::Forward)?;
        let bias = self.bias.values(&x.context)?;
        let y = x.kernels().conv(&shape, &x.values, norm, &packed, &bias, add)?;
        Ok(x.beside(y, (shape.batch, shape.c_out, shape.out_height(), shape.out_width())))
    }

    /// What the backward pass of this layer needs for an input like `x`, to be moved into its closure.
    pub(super) fn gradient(&self, x: &Map) -> Result<ConvGradient, CudaError> {
        let parameters = || (self.weight.value().clone(), self.bias.value().clone());
        Ok(ConvGradient {
            shape: self.shape(x.shape),
            packed: self.packed(&x.context, Turn::Backward)?,
            parameters: self.weight.is_trainable().then(parameters),
        })
    }
}

/// The gradients of one convolution.
pub struct ConvGradient {
    shape: ConvShape,
    packed: Arc<Buffer>,
    /// Weight and bias, where they are trained.
    parameters: Option<(Tensor1<Gpu>, Tensor1<Gpu>)>,
}

impl ConvGradient {
    /// Whether the gradients of weight and bias are wanted: they need the layer's input.
    pub fn needs_input(&self) -> bool {
        self.parameters.is_some()
    }

    /// The gradient of the input; plus `add`, which has its shape.
    pub fn of_input(&self, context: &Context, dy: &Buffer, add: Option<&Buffer>) -> Result<Buffer, CudaError> {
        Ok(context
            .kernels
            .conv_input_gradient(&self.shape, dy, &self.packed, add)?)
    }

    /// Adds the gradients of weight and bias, where they are wanted, for the input `x`, read through a norm where there
    /// is one.
    pub fn add_to_parameters(
        &self,
        x: &Map,
        norm: Option<&Normalised<'_>>,
        dy: &Buffer,
        gradients: &mut Gradients<f32, Cuda>,
    ) -> Result<(), CudaError> {
        if let Some((weight, bias)) = &self.parameters {
            let kernels = x.kernels();
            let dw = gradients.get_or_alloc_mut(weight)?;
            kernels.conv_weight_gradient(&self.shape, &x.values, norm, dy, dw)?;
            kernels.bias_gradient(self.shape.batch, dy, gradients.get_or_alloc_mut(bias)?)?;
        }
        Ok(())
    }
}

pub fn conv2d<T: Tape<f32, Cuda>>(x: Features<Gpu, T>, layer: &Conv2d<Gpu>) -> Result<Features<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let y = Recorded::new(layer.apply(&x.map, None, None)?);
    if T::OWNS_TAPE {
        let gradient = layer.gradient(&x.map)?;
        let (context, y_gradient) = (x.map.context.clone(), y.gradient.clone());
        let input = gradient.needs_input().then_some(x.map);
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            if let Some(input) = input {
                gradient.add_to_parameters(&input, None, &dy, gradients)?;
            }
            x.gradient.add(|others| gradient.of_input(&context, &dy, others))
        });
    }
    Ok(Features::new(y, tape))
}
