//! Group normalisation, modulation and SiLU, one after the other, before a convolution.

use dfdx::shapes::{Axes2, Axis, HasShape};
use dfdx::tensor::{Merge, PutTape, SplitTape, Tape, Tensor, WithEmptyTape};
use dfdx::tensor_ops::{BroadcastTo, TryAdd, TryMul};
use kernels::norm::Activation;

use crate::backend::{Tensor2, Tensor4};
use crate::composed::{Composed, activation, conv, parameter, reshape};
use crate::device_ext::DeviceExt;
use crate::layers::{Conv2d, GroupNorm};

const EPSILON: f64 = 1e-5;

pub fn norm_conv<D, T, U>(
    x: Tensor4<Composed<D>, T>,
    norm: &GroupNorm<Composed<D>>,
    modulation: Option<Tensor2<Composed<D>, U>>,
    activation: Activation,
    conv: &Conv2d<Composed<D>>,
) -> Result<Tensor4<Composed<D>, T>, D::Err>
where
    D: DeviceExt,
    T: Tape<f32, D> + Merge<U>,
    U: Tape<f32, D>,
{
    let shape @ (batch, channels, height, width) = *x.shape();
    assert_eq!(
        channels, norm.channels,
        "a norm over {} channels got an input of {channels}",
        norm.channels
    );
    let (x, mut tape) = x.split_tape();
    let (modulation, modulation_tape) = modulation.map(|m| m.split_tape()).unzip();
    if let Some(modulation_tape) = modulation_tape {
        tape = tape.merge(modulation_tape);
    }
    let group_len = channels / norm.groups * height * width;
    let groups = reshape(x.put_tape(tape), (batch * norm.groups, group_len))?;
    let normalised = reshape(
        groups.try_normalize::<Axis<1>>(EPSILON)?,
        (batch, channels, height * width),
    )?;
    let y = match modulation {
        None => shift_and_scale(normalised, norm)?,
        Some(modulation) => modulate(normalised, norm, modulation)?,
    };
    let y = match activation {
        Activation::None => y,
        Activation::Silu => activation::silu(y)?,
    };
    conv::conv2d(reshape(y, shape)?, conv)
}

/// A feature map `[B, C, H W]`.
type Map<D, T> = Tensor<(usize, usize, usize), f32, D, T>;

/// `x weight + bias`, channel by channel.
fn shift_and_scale<D: DeviceExt, T: Tape<f32, D>>(
    x: Map<D, T>,
    norm: &GroupNorm<Composed<D>>,
) -> Result<Map<D, T>, D::Err> {
    let shape = *x.shape();
    let scale = parameter::<D, T, _>(&norm.weight, (norm.channels,))?;
    let shift = parameter::<D, T, _>(&norm.bias, (norm.channels,))?;
    x.try_mul(scale.try_broadcast_like::<_, Axes2<0, 2>>(&shape)?)?
        .try_add(shift.try_broadcast_like::<_, Axes2<0, 2>>(&shape)?)
}

/// `(x weight + bias) (1 + a) + b` with `modulation = [a | b]`; scale and shift of each image and channel first, so
/// that only two ops see the whole map.
fn modulate<D: DeviceExt, T: Tape<f32, D>>(
    x: Map<D, T>,
    norm: &GroupNorm<Composed<D>>,
    modulation: Tensor2<Composed<D>>,
) -> Result<Map<D, T>, D::Err> {
    let shape @ (batch, channels, _) = *x.shape();
    let rows = (batch, channels);
    let weight = parameter::<D, T, _>(&norm.weight, (channels,))?.try_broadcast_like::<_, Axis<0>>(&rows)?;
    let bias = parameter::<D, T, _>(&norm.bias, (channels,))?.try_broadcast_like::<_, Axis<0>>(&rows)?;
    // Slices that do not overlap, as in `attend`.
    let a = modulation.retaped::<T>().try_slice((.., 0..channels))?;
    let b = modulation.retaped::<T>().try_slice((.., channels..2 * channels))?;
    let gain = a.try_add(1.0)?;
    let scale = weight.try_mul(gain.with_empty_tape())?;
    let shift = bias.try_mul(gain)?.try_add(b)?;
    x.try_mul(scale.try_broadcast_like::<_, Axis<2>>(&shape)?)?
        .try_add(shift.try_broadcast_like::<_, Axis<2>>(&shape)?)
}
