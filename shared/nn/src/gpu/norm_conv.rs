//! Group normalisation, modulation, SiLU and a convolution as one op on the tape. What lies between them is never
//! written to memory: the convolution reads its input through the norm, and so does the gradient of its weights.

use std::rc::Rc;

use dfdx::tensor::{Cuda, CudaError, Gradients, Merge, Tape};
use kernels::cuda::Buffer;
use kernels::norm::Activation;

use crate::features::{Features, Vectors};
use crate::gpu::Gpu;
use crate::gpu::conv::ConvGradient;
use crate::gpu::map::{Map, Recorded};
use crate::gpu::norm::{Modulation, Normalisation};
use crate::layers::{Conv2d, GroupNorm};

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
        let y = conv.apply(&x, Some(&norm.as_read()), add)?;
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
        self.conv
            .add_to_parameters(input, Some(&norm.as_read()), dy, gradients)?;
        let between = self.conv.of_input(&input.context, dy, None)?;
        norm.gradient(input, &between, add, gradients)
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
