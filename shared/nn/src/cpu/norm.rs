//! Group normalisation with modulation and activation, as the layer, the kernel and the gradients see it.

use std::rc::Rc;

use dfdx::tensor::{Cpu, CpuError, Gradients, Tape};
use kernels::norm::{Activation, NormInput, NormShape, NormStats, group_norm, group_norm_grad};
use kernels::norm_conv::{Norm, norm_conv_input_grad};
use kernels::scratch::Scratch;

use crate::backend::{Tensor1, Tensor2};
use crate::cpu::conv::ConvGradient;
use crate::cpu::map::{Map, Recorded, Shape4};
use crate::cpu::tape::read;
use crate::features::Features;
use crate::layers::GroupNorm;

/// The kernel knows one scale and one shift per image and channel. With weight `w`, bias `c` and modulation `(a, b)`,
/// `(xhat w + c)(1 + a) + b` is `xhat scale + shift` with these two.
struct Affine {
    scale: Scratch,
    shift: Scratch,
}

impl Affine {
    fn new(batch: usize, weight: &[f32], bias: &[f32], modulation: Option<&[f32]>) -> Self {
        let channels = weight.len();
        let [mut scale, mut shift] = [0, 1].map(|_| Scratch::take(batch * channels));
        let images = scale.chunks_exact_mut(channels).zip(shift.chunks_exact_mut(channels));
        for (n, (scale, shift)) in images.enumerate() {
            for c in 0..channels {
                let (a, b) = modulation.map_or((0.0, 0.0), |m| at(m, n, c, channels));
                scale[c] = weight[c] * (1.0 + a);
                shift[c] = bias[c] * (1.0 + a) + b;
            }
        }
        Self { scale, shift }
    }
}

/// The pair `(a, b)` of image `n` and channel `c` in `[B, 2 C]`.
fn at(modulation: &[f32], n: usize, c: usize, channels: usize) -> (f32, f32) {
    let row = &modulation[2 * channels * n..2 * channels * (n + 1)];
    (row[c], row[channels + c])
}

/// A normalisation with its modulation, before it is done.
pub struct Normalisation {
    groups: usize,
    epsilon: f64,
    affine: Affine,
    activation: Activation,
    /// `[a | b]` of every image, where there is a modulation.
    modulation: Option<Scratch>,
    weight: Scratch,
    bias: Scratch,
    wanted: Wanted,
}

/// The tensors whose gradients are wanted. (They share their memory with the originals.)
struct Wanted {
    modulation: Option<Tensor2<Cpu>>,
    /// Weight and bias, where they are trained.
    parameters: Option<[Tensor1<Cpu>; 2]>,
}

/// Whether an op's modulation is part of what is differentiated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ModulationGradient {
    Wanted,
    Unwanted,
}

impl ModulationGradient {
    /// It is, where the modulation comes with a tape.
    pub fn of<U: Tape<f32, Cpu>>() -> Self {
        if U::OWNS_TAPE { Self::Wanted } else { Self::Unwanted }
    }
}

impl Normalisation {
    /// `act(group_norm(x) (1 + a) + b)` for inputs of that shape, with the modulation `[a | b]`.
    pub fn new(
        (batch, channels, ..): Shape4,
        norm: &GroupNorm<Cpu>,
        modulation: Option<(&Tensor2<Cpu>, ModulationGradient)>,
        activation: Activation,
    ) -> Self {
        assert_eq!(
            channels, norm.channels,
            "a norm over {} channels got an input of {channels}",
            norm.channels
        );
        let (weight, bias) = (read(norm.weight.value()), read(norm.bias.value()));
        let values = modulation.map(|(modulation, _)| read(modulation));
        let parameters = || [norm.weight.value().clone(), norm.bias.value().clone()];
        let wanted = Wanted {
            modulation: modulation.and_then(|(m, wanted)| (wanted == ModulationGradient::Wanted).then(|| m.clone())),
            parameters: norm.weight.is_trainable().then(parameters),
        };
        Self {
            groups: norm.groups,
            epsilon: norm.epsilon,
            affine: Affine::new(batch, &weight, &bias, values.as_deref()),
            activation,
            modulation: values,
            weight,
            bias,
            wanted,
        }
    }

    /// As the kernel knows it.
    pub fn kernel(&self) -> Norm<'_> {
        Norm {
            groups: self.groups,
            epsilon: self.epsilon,
            scale: &self.affine.scale,
            shift: &self.affine.shift,
            activation: self.activation,
        }
    }
}

fn norm_shape((batch, channels, height, width): Shape4, groups: usize, epsilon: f64) -> NormShape {
    NormShape {
        batch,
        channels,
        pixels: height * width,
        groups,
        epsilon,
    }
}

/// A normalisation that was done, and what its backward pass needs.
pub struct Normalised {
    pub by: Normalisation,
    pub input: Rc<Map>,
    pub stats: NormStats,
}

impl Normalised {
    /// The gradient of the input, given that of what the convolution behind it made; adds those of modulation and
    /// parameters.
    pub fn gradient(
        &self,
        conv: &ConvGradient,
        dy: &Map,
        gradients: &mut Gradients<f32, Cpu>,
    ) -> Result<Map, CpuError> {
        let [mut dscale, mut dshift] = self.affine_gradients();
        let mut dx = Map::take(self.input.shape);
        norm_conv_input_grad(
            &conv.shape,
            &dy.values,
            &conv.packed,
            self.kernel_input(),
            &mut dx.values,
            &mut dscale,
            &mut dshift,
        );
        self.add_gradients(&dscale, &dshift, gradients)?;
        Ok(dx)
    }

    /// The gradient of the input, given that of the normalisation's own output; adds those of the parameters.
    pub fn gradient_alone(&self, mut d: Map, gradients: &mut Gradients<f32, Cpu>) -> Result<Map, CpuError> {
        let [mut dscale, mut dshift] = self.affine_gradients();
        let shape = norm_shape(self.input.shape, self.by.groups, self.by.epsilon);
        group_norm_grad(&shape, self.kernel_input(), &mut d.values, &mut dscale, &mut dshift);
        self.add_gradients(&dscale, &dshift, gradients)?;
        Ok(d)
    }

    /// Room for the gradients of the kernel's scale and shift.
    fn affine_gradients(&self) -> [Scratch; 2] {
        [0, 1].map(|_| Scratch::take(self.by.affine.scale.len()))
    }

    /// As the kernel knows what it was given.
    fn kernel_input(&self) -> NormInput<'_> {
        NormInput {
            x: &self.input.values,
            stats: &self.stats,
            scale: &self.by.affine.scale,
            shift: &self.by.affine.shift,
            activation: self.by.activation,
        }
    }

    /// From the gradients of the kernel's scale and shift to those of modulation and parameters.
    fn add_gradients(
        &self,
        dscale: &[f32],
        dshift: &[f32],
        gradients: &mut Gradients<f32, Cpu>,
    ) -> Result<(), CpuError> {
        let wanted = &self.by.wanted;
        if let Some(modulation) = &wanted.modulation {
            let dm = gradients.get_or_alloc_mut(modulation)?;
            add_modulation_gradient(dm, &self.by.weight, &self.by.bias, dscale, dshift);
        }
        if let Some([weight, bias]) = &wanted.parameters {
            let modulation = self.by.modulation.as_deref();
            add_parameter_gradient(gradients.get_or_alloc_mut(weight)?, dscale, modulation);
            add_parameter_gradient(gradients.get_or_alloc_mut(bias)?, dshift, modulation);
        }
        Ok(())
    }
}

/// Chain rule through [`Affine`]: `da = w dscale + c dshift` and `db = dshift`.
fn add_modulation_gradient(dm: &mut [f32], weight: &[f32], bias: &[f32], dscale: &[f32], dshift: &[f32]) {
    let channels = weight.len();
    for ((dm, dscale), dshift) in dm
        .chunks_mut(2 * channels)
        .zip(dscale.chunks(channels))
        .zip(dshift.chunks(channels))
    {
        for c in 0..channels {
            dm[c] += weight[c] * dscale[c] + bias[c] * dshift[c];
            dm[channels + c] += dshift[c];
        }
    }
}

/// Chain rule through [`Affine`]: `dw = sum_n (1 + a) dscale`, and the same for the bias with `dshift`.
fn add_parameter_gradient(dw: &mut [f32], d_affine: &[f32], modulation: Option<&[f32]>) {
    let channels = dw.len();
    for (n, d) in d_affine.chunks(channels).enumerate() {
        for c in 0..channels {
            let a = modulation.map_or(0.0, |m| at(m, n, c, channels).0);
            dw[c] += (1.0 + a) * d[c];
        }
    }
}

/// A normalisation with no convolution behind it.
pub fn norm<T: Tape<f32, Cpu>>(
    x: Features<Cpu, T>,
    norm: &GroupNorm<Cpu>,
    activation: Activation,
) -> Result<Features<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split();
    let by = Normalisation::new(x.map.shape, norm, None, activation);
    let mut y = Map::take(x.map.shape);
    let shape = norm_shape(x.map.shape, by.groups, by.epsilon);
    let Affine { scale, shift } = &by.affine;
    let stats = group_norm(&shape, &x.map.values, scale, shift, activation, &mut y.values);
    let y = Recorded::new(y);
    if T::OWNS_TAPE {
        let normalised = Normalised {
            by,
            input: x.map,
            stats,
        };
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |gradients| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            x.gradient.add(normalised.gradient_alone(dy, gradients)?);
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}
