//! Group normalisation, modulation, SiLU and a convolution as one op on the tape.

use std::rc::Rc;

use dfdx::tensor::{Cpu, CpuError, Gradients, Merge, SplitTape, Tape};
use kernels::channels_last::Onto;
use kernels::norm::Activation;

use crate::backend::Tensor2;
use crate::cpu::conv::ConvGradient;
use crate::cpu::map::{Map, Recorded};
use crate::cpu::norm::{ModulationGradient, Normalisation, Normalised};
use crate::cpu::tape::read;
use crate::features::Features;
use crate::layers::{Conv2d, GroupNorm};

/// A norm and a convolution that were computed.
pub struct NormConv {
    normalised: Normalised,
    /// The convolution's input, where its parameters are trained.
    activated: Option<Map>,
}

impl NormConv {
    /// Does both, and writes the result to `y` or adds it, as `onto` says.
    pub fn run(
        x: Rc<Map>,
        norm: &GroupNorm<Cpu>,
        modulation: Option<(&Tensor2<Cpu>, ModulationGradient)>,
        activation: Activation,
        conv: &Conv2d<Cpu>,
        onto: Onto,
        y: &mut Map,
    ) -> Self {
        let by = Normalisation::new(x.shape, norm, modulation, activation);
        let shape = conv.shape(x.shape);
        let mut activated = conv.weight.is_trainable().then(|| Map::take(x.shape));
        let stats = kernels::norm_conv::norm_conv(
            &shape,
            &x.values,
            by.kernel(),
            &conv.packed_forward(&shape),
            &read(conv.bias.value()),
            activated.as_mut().map(|activated| &mut *activated.values),
            onto,
            &mut y.values,
        );
        let normalised = Normalised { by, input: x, stats };
        Self { normalised, activated }
    }

    /// What the backward pass needs, to be moved into its closure.
    pub fn gradient(self, conv: &Conv2d<Cpu>) -> NormConvGradient {
        NormConvGradient {
            conv: conv.gradient(self.normalised.input.shape),
            normalised: self.normalised,
            activated: self.activated,
        }
    }
}

/// The gradients of a norm and a convolution.
pub struct NormConvGradient {
    normalised: Normalised,
    conv: ConvGradient,
    activated: Option<Map>,
}

impl NormConvGradient {
    /// What was normalised.
    pub fn input(&self) -> &Map {
        &self.normalised.input
    }

    /// The gradient of the input; adds those of modulation and parameters.
    pub fn of_input(&self, dy: &Map, gradients: &mut Gradients<f32, Cpu>) -> Result<Map, CpuError> {
        self.conv.add_to_parameters(self.activated.as_ref(), dy, gradients)?;
        self.normalised.gradient(&self.conv, dy, gradients)
    }
}

pub fn norm_conv<T, U>(
    x: Features<Cpu, T>,
    norm: &GroupNorm<Cpu>,
    modulation: Option<Tensor2<Cpu, U>>,
    activation: Activation,
    conv: &Conv2d<Cpu>,
) -> Result<Features<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let (x, mut tape) = x.split();
    let (modulation, modulation_tape) = modulation.map(|m| m.split_tape()).unzip();
    let modulation = modulation.as_ref().map(|m| (m, ModulationGradient::of::<U>()));
    let mut y = Map::take(conv.output_shape(x.map.shape));
    let pass = NormConv::run(x.map, norm, modulation, activation, conv, Onto::Overwrite, &mut y);
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        if let Some(modulation_tape) = modulation_tape {
            tape = tape.merge(modulation_tape);
        }
        let (pass, y_gradient) = (pass.gradient(conv), y.gradient.clone());
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.gradient.add(pass.of_input(&dy, gradients)?);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}
