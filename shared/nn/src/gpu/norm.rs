//! Group normalisation with modulation and activation: what it found in its input, its gradients, and the op that does
//! nothing else.

use std::sync::Arc;

use dfdx::tensor::{Cuda, CudaError, Gradients, Tape};
use kernels::cuda::{Buffer, Normalised, Statistics};
use kernels::norm::{Activation, NormShape};

use crate::backend::Tensor1;
use crate::features::Features;
use crate::gpu::Gpu;
use crate::gpu::map::{Map, Recorded};
use crate::layers::GroupNorm;

/// The modulation `[a | b]` of a norm, and whether it is part of what is differentiated.
#[derive(Clone)]
pub struct Modulation {
    vectors: Recorded,
    wanted: bool,
}

impl Modulation {
    /// It is, where it comes with a tape.
    pub fn of<U: Tape<f32, Cuda>>(vectors: Recorded) -> Self {
        Self {
            vectors,
            wanted: U::OWNS_TAPE,
        }
    }

    fn values(&self) -> &Buffer {
        &self.vectors.map.values
    }
}

/// A norm that was done.
pub struct Normalisation {
    statistics: Statistics,
    activation: Activation,
    modulation: Option<Modulation>,
    weight: Arc<Buffer>,
    bias: Arc<Buffer>,
    /// Weight and bias, where they are trained.
    parameters: Option<[Tensor1<Gpu>; 2]>,
}

impl Normalisation {
    /// Finds what the norm of `x` is.
    pub fn of(
        x: &Map,
        norm: &GroupNorm<Gpu>,
        modulation: Option<Modulation>,
        activation: Activation,
    ) -> Result<Self, CudaError> {
        let (batch, channels, height, width) = x.shape;
        assert_eq!(
            channels, norm.channels,
            "a norm over {} channels got an input of {channels}",
            norm.channels
        );
        let shape = NormShape {
            batch,
            channels,
            pixels: height * width,
            groups: norm.groups,
            epsilon: norm.epsilon,
        };
        let weight = norm.weight.values(&x.context)?;
        let bias = norm.bias.values(&x.context)?;
        let values = modulation.as_ref().map(Modulation::values);
        let statistics = x.kernels().norm(&shape, &x.values, &weight, &bias, values)?;
        let parameters = || [norm.weight.value().clone(), norm.bias.value().clone()];
        Ok(Self {
            statistics,
            activation,
            modulation,
            weight,
            bias,
            parameters: norm.weight.is_trainable().then(parameters),
        })
    }

    /// How a convolution reads the map through this norm.
    pub fn as_read(&self) -> Normalised<'_> {
        self.statistics.followed_by(self.activation)
    }

    /// The gradient of the input `x`, `dy` being that of what was read, plus `add`, which has its shape; adds those of
    /// modulation and parameters.
    pub fn gradient(
        &self,
        x: &Map,
        dy: &Buffer,
        add: Option<&Buffer>,
        gradients: &mut Gradients<f32, Cuda>,
    ) -> Result<Buffer, CudaError> {
        let (dx, sums) = x
            .kernels()
            .norm_gradient(&self.statistics, self.activation, &x.values, dy, add)?;
        self.add_to_parameters(x, &sums, gradients)?;
        Ok(dx)
    }

    /// Adds the gradients of modulation and parameters, from the sums that the input's gradient is made of.
    fn add_to_parameters(&self, x: &Map, sums: &Buffer, gradients: &mut Gradients<f32, Cuda>) -> Result<(), CudaError> {
        let (batch, kernels) = (x.shape.0, x.kernels());
        if let Some(Modulation { vectors, wanted: true }) = &self.modulation {
            let d = kernels.modulation_gradient(batch, sums, &self.weight, &self.bias)?;
            vectors.gradient.add_part(kernels, d)?;
        }
        if let Some([weight, bias]) = &self.parameters {
            let modulation = self.modulation.as_ref().map(Modulation::values);
            kernels.norm_weight_gradient(batch, sums, modulation, gradients.get_or_alloc_mut(weight)?)?;
            kernels.norm_bias_gradient(batch, sums, modulation, gradients.get_or_alloc_mut(bias)?)?;
        }
        Ok(())
    }
}

/// A normalisation with no convolution behind it.
pub fn norm<T: Tape<f32, Cuda>>(
    x: Features<Gpu, T>,
    norm: &GroupNorm<Gpu>,
    activation: Activation,
) -> Result<Features<Gpu, T>, CudaError> {
    let (x, mut tape) = x.split();
    let norm = Normalisation::of(&x.map, norm, None, activation)?;
    let y = x
        .map
        .kernels()
        .apply_norm(&norm.statistics, activation, &x.map.values)?;
    let y = Recorded::new(x.map.beside(y, x.map.shape));
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.gradient.add(|others| norm.gradient(&x.map, &dy, others, gradients))
        });
    }
    Ok(Features::new(y, tape))
}
