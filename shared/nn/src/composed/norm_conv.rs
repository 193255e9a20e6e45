//! Group normalisation, modulation and SiLU, one after the other, by themselves or before a convolution.

use dfdx::shapes::{Axes2, Axis, HasShape};
use dfdx::tensor::{Merge, NoneTape, PutTape, SplitTape, Tape, Tensor, WithEmptyTape};
use dfdx::tensor_ops::{BroadcastTo, TryAdd, TryMul};
use kernels::norm::Activation;

use crate::backend::{Backend, Tensor2, Tensor4};
use crate::composed::{Composed, activation, conv, parameter, reshape};
use crate::device_ext::DeviceExt;
use crate::layers::{Conv2d, GroupNorm};

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
    conv::conv2d(normalise(x, norm, modulation, activation)?, conv)
}

/// `act(group_norm(x))`, of any backend's layer.
pub fn norm<B: Backend, T: Tape<f32, B::Device>>(
    x: Tensor4<B, T>,
    norm: &GroupNorm<B>,
    activation: Activation,
) -> Result<Tensor4<B, T>, B::Err> {
    normalise::<B, T, NoneTape>(x, norm, None, activation)
}

/// `act(group_norm(x) (1 + a) + b)`.
fn normalise<B, T, U>(
    x: Tensor4<B, T>,
    norm: &GroupNorm<B>,
    modulation: Option<Tensor2<B, U>>,
    activation: Activation,
) -> Result<Tensor4<B, T>, B::Err>
where
    B: Backend,
    T: Tape<f32, B::Device> + Merge<U>,
    U: Tape<f32, B::Device>,
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
        groups.try_normalize::<Axis<1>>(norm.epsilon)?,
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
    reshape(y, shape)
}

/// A feature map `[B, C, H W]`.
type Map<D, T> = Tensor<(usize, usize, usize), f32, D, T>;

/// `x weight + bias`, channel by channel.
fn shift_and_scale<B: Backend, T: Tape<f32, B::Device>>(
    x: Map<B::Device, T>,
    norm: &GroupNorm<B>,
) -> Result<Map<B::Device, T>, B::Err> {
    let shape = *x.shape();
    let scale = parameter::<_, T, _>(&norm.weight, (norm.channels,))?;
    let shift = parameter::<_, T, _>(&norm.bias, (norm.channels,))?;
    x.try_mul(scale.try_broadcast_like::<_, Axes2<0, 2>>(&shape)?)?
        .try_add(shift.try_broadcast_like::<_, Axes2<0, 2>>(&shape)?)
}

/// `(x weight + bias) (1 + a) + b` with `modulation = [a | b]`; scale and shift of each image and channel first, so
/// that only two ops see the whole map.
fn modulate<B: Backend, T: Tape<f32, B::Device>>(
    x: Map<B::Device, T>,
    norm: &GroupNorm<B>,
    modulation: Tensor2<B>,
) -> Result<Map<B::Device, T>, B::Err> {
    let shape @ (batch, channels, _) = *x.shape();
    let rows = (batch, channels);
    let weight = parameter::<_, T, _>(&norm.weight, (channels,))?.try_broadcast_like::<_, Axis<0>>(&rows)?;
    let bias = parameter::<_, T, _>(&norm.bias, (channels,))?.try_broadcast_like::<_, Axis<0>>(&rows)?;
    // Slices that do not overlap, as in `attend`.
    let a = modulation.retaped::<T>().try_slice((.., 0..channels))?;
    let b = modulation.retaped::<T>().try_slice((.., channels..2 * channels))?;
    let gain = a.try_add(1.0)?;
    let scale = weight.try_mul(gain.with_empty_tape())?;
    let shift = bias.try_mul(gain)?.try_add(b)?;
    x.try_mul(scale.try_broadcast_like::<_, Axis<2>>(&shape)?)?
        .try_add(shift.try_broadcast_like::<_, Axis<2>>(&shape)?)
}
