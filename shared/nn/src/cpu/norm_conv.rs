//! Group normalisation, modulation, SiLU and a convolution as one op on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, Merge, PutTape, SplitTape, Tape};
use kernels::norm::{self, Activation, NormShape, NormStats};
use kernels::scratch::Scratch;

use crate::backend::{Tensor2, Tensor4};
use crate::cpu::tape::{read, take_gradient};
use crate::layers::{Conv2d, GroupNorm};

/// The kernel knows one scale and one shift per image and channel. With weight `w`, bias `c` and modulation `(a, b)`,
/// `(xhat w + c)(1 + a) + b` is `xhat scale + shift` with these two.
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    fn new(batch: usize, weight: &[f32], bias: &[f32], modulation: Option<&[f32]>) -> Self {
        let channels = weight.len();
        let (mut scale, mut shift) = (
            Vec::with_capacity(batch * channels),
            Vec::with_capacity(batch * channels),
        );
        for n in 0..batch {
            for c in 0..channels {
                let (a, b) = modulation.map_or((0.0, 0.0), |m| at(m, n, c, channels));
                scale.push(weight[c] * (1.0 + a));
                shift.push(bias[c] * (1.0 + a) + b);
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

/// What the backward pass needs of the forward pass.
struct Saved {
    norm_shape: NormShape,
    input: Scratch,
    affine: Affine,
    stats: NormStats,
    activation: Activation,
    /// `[a | b]` of every image, where there is a modulation.
    modulation: Option<Scratch>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

pub fn norm_conv<T, U>(
    x: Tensor4<Cpu, T>,
    norm: &GroupNorm<Cpu>,
    modulation: Option<Tensor2<Cpu, U>>,
    activation: Activation,
    conv: &Conv2d<Cpu>,
) -> Result<Tensor4<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let &(batch, channels, height, width) = x.shape();
    assert_eq!(
        channels, norm.channels,
        "a norm over {} channels got an input of {channels}",
        norm.channels
    );
    let norm_shape = NormShape {
        batch,
        channels,
        pixels: height * width,
        groups: norm.groups,
    };
    let (x, mut tape) = x.split_tape();
    let (modulation, modulation_tape) = modulation.map(|m| m.split_tape()).unzip();
    let (weight, bias) = (norm.weight.to_vec(), norm.bias.to_vec());
    let modulation_values = modulation.as_ref().map(read);
    let affine = Affine::new(batch, &weight, &bias, modulation_values.as_deref());

    let input = read(&x);
    let mut activated = Scratch::take(input.len());
    let stats = norm::group_norm(
        &norm_shape,
        &input,
        &affine.scale,
        &affine.shift,
        activation,
        &mut activated,
    );
    let conv_shape = conv.shape(*x.shape());
    let y = conv.apply(&conv_shape, &activated, x.device())?;
    if T::OWNS_TAPE {
        if let Some(modulation_tape) = modulation_tape {
            tape = tape.merge(modulation_tape);
        }
        let saved = Saved {
            norm_shape,
            input,
            affine,
            stats,
            activation,
            modulation: modulation_values,
            weight,
            bias,
        };
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        let modulation_ghost = if U::OWNS_TAPE {
            modulation.map(|m| m.ghost())
        } else {
            None
        };
        let norm_ghosts = norm
            .weight
            .is_trainable()
            .then(|| (norm.weight.value().ghost(), norm.bias.value().ghost()));
        let conv_gradient = conv.gradient(conv_shape);
        let activated = conv_gradient.needs_input().then_some(activated);
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            conv_gradient.add_to_parameters(activated.as_deref(), &dy, gradients)?;
            let mut d_activated = Scratch::zeros(saved.input.len());
            conv_gradient.add_to_input(&dy, &mut d_activated);
            let (dscale, dshift) = saved.norm_gradient(&d_activated, gradients.get_or_alloc_mut(&x_ghost)?);
            if let Some(ghost) = modulation_ghost {
                let dm = gradients.get_or_alloc_mut(&ghost)?;
                add_modulation_gradient(dm, &saved.weight, &saved.bias, &dscale, &dshift);
            }
            if let Some((weight_ghost, bias_ghost)) = norm_ghosts {
                let modulation = saved.modulation.as_deref();
                add_parameter_gradient(gradients.get_or_alloc_mut(&weight_ghost)?, &dscale, modulation);
                add_parameter_gradient(gradients.get_or_alloc_mut(&bias_ghost)?, &dshift, modulation);
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

impl Saved {
    /// Adds the input's gradient to `dx`; returns those of the scale and the shift of each image and channel.
    fn norm_gradient(&self, d_activated: &[f32], dx: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
        let mut dscale = vec![0.0; self.affine.scale.len()];
        let mut dshift = vec![0.0; self.affine.shift.len()];
        norm::group_norm_grad(
            &self.norm_shape,
            &self.input,
            &self.stats,
            &self.affine.scale,
            &self.affine.shift,
            self.activation,
            d_activated,
            dx,
            &mut dscale,
            &mut dshift,
        );
        (dscale, dshift)
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
