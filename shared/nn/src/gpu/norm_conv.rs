//! Group normalisation, modulation, SiLU and a convolution as one op on the tape. What lies between them is never
//! written to memory: the convolution reads its input through the norm, and so does the gradient of its weights.

use std::rc::Rc;
use std::sync::Arc;

use dfdx::tensor::{Cuda, CudaError, Gradients, Merge, Tape};
use kernels::cuda::{Buffer, Statistics};
use kernels::norm::Activation;

use crate::backend::Tensor1;
use crate::features::{Features, Vectors};
use crate::gpu::Gpu;
use crate::gpu::conv::ConvGradient;
use crate::gpu::map::{Map, Recorded};
use crate::layers::{Conv2d, GroupNorm};

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
    fn of(
        x: &Map,
        norm: &GroupNorm<Gpu>,
        modulation: Option<Modulation>,
        activation: Activation,
    ) -> Result<Self, CudaError> {
        let (batch, channels, ..) = x.shape;
        assert_eq!(
            channels, norm.channels,
            "a norm over {} channels got an input of {channels}",
            norm.channels
        );
        let weight = norm.weight.values(&x.context)?;
        let bias = norm.bias.values(&x.context)?;
        let values = modulation.as_ref().map(Modulation::values);
        let statistics = x
            .kernels()
            .norm(batch, norm.groups, &x.values, &weight, &bias, values)?;
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

/// A norm and a convolution that were computed.
pub struct NormConv {
    input: Rc<Map>,
    norm: Normalisation,
}

impl NormConv {
    /// Does both; what they give, plus `add`, comes second.
    pub fn run(
        x: Rc<Map>,
        norm: &GroupNorm<Gpu>,
        modulation: Option<Modulation>,
        activation: Activation,
        conv: &Conv2d<Gpu>,
        add: Option<&Buffer>,
    ) -> Result<(Self, Map), CudaError> {
        let norm = Normalisation::of(&x, norm, modulation, activation)?;
        let y = conv.apply(&x, Some(&norm.statistics.followed_by(activation)), add)?;
        Ok((Self { input: x, norm }, y))
    }

    /// What the backward pass needs, to be moved into its closure.
    pub fn gradient(self, conv: &Conv2d<Gpu>) -> Result<NormConvGradient, CudaError> {
        let conv = conv.gradient(&self.input)?;
        Ok(NormConvGradient { pass: self, conv })
    }
}

/// The gradients of a norm and a convolution.
pub struct NormConvGradient {
    pass: NormConv,
    conv: ConvGradient,
}

impl NormConvGradient {
    /// What was normalised.
    pub fn input(&self) -> &Map {
        &self.pass.input
    }

    /// The gradient of the input, plus `add`, which has its shape; adds those of modulation and parameters.
    pub fn of_input(
        &self,
        dy: &Buffer,
        add: Option<&Buffer>,
        gradients: &mut Gradients<f32, Cuda>,
    ) -> Result<Buffer, CudaError> {
        let NormConv { input, norm } = &self.pass;
        let read = norm.statistics.followed_by(norm.activation);
        self.conv.add_to_parameters(input, Some(&read), dy, gradients)?;
        let between = self.conv.of_input(&input.context, dy, None)?;
        let kernels = input.kernels();
        let (dx, sums) = kernels.norm_gradient(&norm.statistics, norm.activation, &input.values, &between, add)?;
        norm.add_to_parameters(input, &sums, gradients)?;
        Ok(dx)
    }
}

pub fn norm_conv<T, U>(
    x: Features<Gpu, T>,
    norm: &GroupNorm<Gpu>,
    modulation: Option<Vectors<Gpu, U>>,
    activation: Activation,
    conv: &Conv2d<Gpu>,
) -> Result<Features<Gpu, T>, CudaError>
where
    T: Tape<f32, Cuda> + Merge<U>,
    U: Tape<f32, Cuda>,
{
    let (x, mut tape) = x.split();
    let (modulation, modulation_tape) = modulation.map(Vectors::split).unzip();
    let modulation = modulation.map(Modulation::of::<U>);
    let (pass, y) = NormConv::run(x.map, norm, modulation, activation, conv, None)?;
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        if let Some(modulation_tape) = modulation_tape {
            tape = tape.merge(modulation_tape);
        }
        let (pass, y_gradient) = (pass.gradient(conv)?, y.gradient.clone());
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.gradient.add(|others| pass.of_input(&dy, others, gradients))
        });
    }
    Ok(Features::new(y, tape))
}
