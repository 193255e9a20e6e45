//! The ops made of dfdx's own, for every device that dfdx knows: this is how the network runs on a GPU.
//!
//! dfdx does not lend a tensor's memory on the GPU to other crates, so that kernels of our own cannot be put under its
//! tape there. Its stable ops can: slices, gathers, matrix products, means. Each op of [`Backend`] is a few of them, and
//! dfdx's tape finds the gradients.
//!
//! The CPU does not use this for its work: the windows of a convolution become a tensor nine times as large as the image,
//! and every intermediate result is written to memory and read again; our kernels do neither. But it can, and that is
//! how these ops are tested on a machine without a GPU.
//!
//! A frozen layer saves nothing here: the gradient of a dfdx product or sum is that of both its sides. Those of the
//! parameters are computed, and nobody looks at them.

mod attention;
mod conv;
mod linear;
mod loss;
mod norm_conv;
mod resample;

use std::fmt::Debug;

use dfdx::shapes::Shape;
use dfdx::tensor::{HasErr, Merge, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;

use crate::backend::{Backend, Scalar, Tensor2, Tensor4};
use crate::{Conv2d, DeviceExt, GroupNorm, Linear, Parameter};

pub(crate) use conv::WindowIndex;

/// A backend on any device of dfdx's, every op composed of dfdx's own.
#[derive(Clone, Debug)]
pub struct Composed<D>(pub D);

impl<D: DeviceExt> HasErr for Composed<D> {
    type Err = D::Err;
}

/// A parameter in the shape that an op reads it in, on a new tape.
fn parameter<D: DeviceExt, T: Tape<f32, D>, S: Shape>(
    parameter: &Parameter<Composed<D>>,
    shape: S,
) -> Result<Tensor<S, f32, D, T>, D::Err> {
    parameter.value().retaped::<T>().try_reshape_like(&shape)
}

impl<D: DeviceExt> Backend for Composed<D> {
    type Device = D;
    type ConvCache = WindowIndex<D>;
    type LinearCache = ();

    fn device(&self) -> &D {
        &self.0
    }

    fn conv2d<T: Tape<f32, D>>(x: Tensor4<Self, T>, layer: &Conv2d<Self>) -> Result<Tensor4<Self, T>, D::Err> {
        conv::conv2d(x, layer)
    }

    fn norm_conv<T, U>(
        x: Tensor4<Self, T>,
        norm: &GroupNorm<Self>,
        modulation: Option<Tensor2<Self, U>>,
        silu: bool,
        conv: &Conv2d<Self>,
    ) -> Result<Tensor4<Self, T>, D::Err>
    where
        T: Tape<f32, D> + Merge<U>,
        U: Tape<f32, D>,
    {
        norm_conv::norm_conv(x, norm, modulation, silu, conv)
    }

    fn attend<T: Tape<f32, D>>(qkv: Tensor4<Self, T>, heads: usize) -> Result<Tensor4<Self, T>, D::Err> {
        attention::attend(qkv, heads)
    }

    fn linear<T: Tape<f32, D>>(x: Tensor2<Self, T>, layer: &Linear<Self>) -> Result<Tensor2<Self, T>, D::Err> {
        linear::linear(x, layer)
    }

    fn silu<T: Tape<f32, D>>(x: Tensor2<Self, T>) -> Result<Tensor2<Self, T>, D::Err> {
        linear::silu(x)
    }

    fn add<T: Tape<f32, D>>(x: Tensor4<Self, T>, y: Tensor4<Self, T>) -> Result<Tensor4<Self, T>, D::Err> {
        dfdx::tensor_ops::TryAdd::try_add(x, y)
    }

    fn blend<T: Tape<f32, D>>(
        x: Tensor4<Self, T>,
        a: &[f32],
        y: Tensor4<Self, T>,
        b: &[f32],
    ) -> Result<Tensor4<Self, T>, D::Err> {
        resample::blend(x, a, y, b)
    }

    fn concat_channels<T: Tape<f32, D>>(x: Tensor4<Self, T>, y: Tensor4<Self, T>) -> Result<Tensor4<Self, T>, D::Err> {
        resample::concat_channels(x, y)
    }

    fn upsample2<T: Tape<f32, D>>(x: Tensor4<Self, T>) -> Result<Tensor4<Self, T>, D::Err> {
        resample::upsample2(x)
    }

    fn pixel_unshuffle<T: Tape<f32, D>>(x: Tensor4<Self, T>, factor: usize) -> Result<Tensor4<Self, T>, D::Err> {
        resample::pixel_unshuffle(x, factor)
    }

    fn pixel_shuffle<T: Tape<f32, D>>(x: Tensor4<Self, T>, factor: usize) -> Result<Tensor4<Self, T>, D::Err> {
        resample::pixel_shuffle(x, factor)
    }

    fn inner_product<T: Tape<f32, D>>(
        x: Tensor4<Self, T>,
        cotangent: &Tensor4<Self>,
    ) -> Result<Scalar<Self, T>, D::Err> {
        loss::inner_product(x, cotangent)
    }

    fn mean_squared_error<T: Tape<f32, D>>(
        x: Tensor4<Self, T>,
        target: &Tensor4<Self>,
        weights: &[f32],
    ) -> Result<Scalar<Self, T>, D::Err> {
        loss::mean_squared_error(x, target, weights)
    }

    fn cross_entropy<T: Tape<f32, D>>(
        scores: Tensor4<Self, T>,
        labels: &[usize],
        smoothing: f32,
    ) -> Result<Scalar<Self, T>, D::Err> {
        loss::cross_entropy(scores, labels, smoothing)
    }
}
