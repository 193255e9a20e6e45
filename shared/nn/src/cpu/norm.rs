//! Group normalisation with modulation and SiLU on the tape.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, CpuError, Merge, PutTape, SplitTape, Tape, TensorFromVec};
use kernels::norm::NormShape;

use super::tape::{read, take_gradient};
use crate::{GroupNorm, Tensor2, Tensor4};

/// The kernel knows one scale and one shift per image and channel. With weight `w`, bias `c` and modulation `(a, b)`,
/// `(xhat w + c)(1 + a) + b` is `xhat scale + shift` with these two.
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    fn new(batch: usize, weight: &[f32], bias: &[f32], modulation: Option<&[f32]>) -> Self {
        let channels = weight.len();
        let (mut scale, mut shift) = (Vec::with_capacity(batch * channels), Vec::with_capacity(batch * channels));
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

pub fn group_norm<T, U>(
    x: Tensor4<Cpu, T>,
    layer: &GroupNorm<Cpu>,
    modulation: Option<Tensor2<Cpu, U>>,
    silu: bool,
) -> Result<Tensor4<Cpu, T>, CpuError>
where
    T: Tape<f32, Cpu> + Merge<U>,
    U: Tape<f32, Cpu>,
{
    let &(batch, channels, height, width) = x.shape();
    assert_eq!(channels, layer.channels, "a norm over {} channels got an input of {channels}", layer.channels);
    let shape = NormShape { batch, channels, pixels: height * width, groups: layer.groups };
    let (x, mut tape) = x.split_tape();
    let (modulation, modulation_tape) = modulation.map(|m| m.split_tape()).unzip();
    let modulation_values = modulation.as_ref().map(read);
    let (weight, bias) = (read(layer.weight.value()), read(layer.bias.value()));
    let affine = Affine::new(batch, &weight, &bias, modulation_values.as_deref());

    let input = read(&x);
    let mut output = vec![0.0; input.len()];
    let stats = kernels::norm::group_norm_silu(&shape, &input, &affine.scale, &affine.shift, silu, &mut output);
    let y = x.device().try_tensor_from_vec(output, (batch, channels, height, width))?;
    if T::OWNS_TAPE {
        if let Some(modulation_tape) = modulation_tape {
            tape = tape.merge(modulation_tape);
        }
        let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
        let modulation_ghost = if U::OWNS_TAPE { modulation.map(|m| m.ghost()) } else { None };
        let trained = layer.weight.is_trainable().then(|| (layer.weight.value().ghost(), layer.bias.value().ghost()));
        tape.add_backward_op(move |gradients| {
            let dy = take_gradient!(gradients, y_ghost);
            let (mut dscale, mut dshift) = (vec![0.0; batch * channels], vec![0.0; batch * channels]);
            kernels::norm::group_norm_silu_grad(
                &shape,
                &input,
                &stats,
                &affine.scale,
                &affine.shift,
                silu,
                &dy,
                gradients.get_or_alloc_mut(&x_ghost)?,
                &mut dscale,
                &mut dshift,
            );
            if let Some(ghost) = modulation_ghost {
                let dm = gradients.get_or_alloc_mut(&ghost)?;
                add_modulation_gradient(dm, &weight, &bias, &dscale, &dshift);
            }
            if let Some((weight_ghost, bias_ghost)) = trained {
                let modulation = modulation_values.as_deref();
                add_parameter_gradient(gradients.get_or_alloc_mut(&weight_ghost)?, &dscale, modulation);
                add_parameter_gradient(gradients.get_or_alloc_mut(&bias_ghost)?, &dshift, modulation);
            }
            Ok(())
        });
    }
    Ok(y.put_tape(tape))
}

/// Chain rule through [`Affine`]: `da = w dscale + c dshift` and `db = dshift`.
fn add_modulation_gradient(dm: &mut [f32], weight: &[f32], bias: &[f32], dscale: &[f32], dshift: &[f32]) {
    let channels = weight.len();
    for ((dm, dscale), dshift) in
        dm.chunks_mut(2 * channels).zip(dscale.chunks(channels)).zip(dshift.chunks(channels))
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
