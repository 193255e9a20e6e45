//! The ops made of dfdx's own, for every device that dfdx knows: what the backends on our own kernels are compared
//! with, on the CPU and on GPUs.
//!
//! dfdx's stable ops are slices, gathers, matrix products, means. Each op of [`Backend`] is a few of them, and dfdx's
//! tape finds the gradients, so that forward pass and gradients owe nothing to our kernels.
//!
//! Nobody uses this for work: the windows of a convolution become a tensor nine times as large as the image, and every
//! intermediate result is written to memory and read again; our kernels do neither.
//!
//! A frozen layer saves nothing here: the gradient of a dfdx product or sum is that of both its sides. Those of the
//! parameters are computed, and nobody looks at them.

mod activation;
mod attention;
mod combine;
mod conv;
mod linear;
mod loss;
mod norm_conv;
mod resample;
mod windows;

pub(crate) use resample::{average_pool2, half_turn};

use std::fmt::Debug;

use dfdx::shapes::Shape;
use dfdx::tensor::{HasErr, Merge, PutTape, SplitTape, Tape, Tensor};
use dfdx::tensor_ops::ReshapeTo;
use kernels::norm::Activation;

use crate::backend::{Backend, Scalar, Tensor2, Tensor4};
use crate::composed::windows::Windows;
use crate::device_ext::DeviceExt;
use crate::features::{Features, Vectors};
use crate::layers::{Conv2d, GroupNorm, Linear};
use crate::parameter::Parameter;

/// A backend on any device of dfdx's, every op composed of dfdx's own.
#[derive(Clone, Debug)]
pub struct Composed<D: DeviceExt> {
    device: D,
    windows: Windows<D>,
}

impl<D: DeviceExt> Composed<D> {
    /// The backend on a device.
    pub fn on(device: D) -> Self {
        Self {
            device,
            windows: Windows::default(),
        }
    }
}

impl<D: DeviceExt> HasErr for Composed<D> {
    type Err = D::Err;
}

/// A parameter in the shape that an op reads it in, on a new tape.
fn parameter<B: Backend, T: Tape<f32, B::Device>, S: Shape>(
    parameter: &Parameter<B>,
    shape: S,
) -> Result<Tensor<S, f32, B::Device, T>, B::Err> {
    reshape(parameter.value().retaped::<T>(), shape)
}

/// The same values, row-major, in another shape.
///
/// Every reshape of this folder goes through here, for one reason: on CUDA, dfdx 0.13 loses most of the gradient of a
/// *broadcast* tensor at a reshape. The elements that were repeated share one place in memory; each must add its part
/// of the gradient there, and only one of them does. Permuted tensors are safe. So a broadcast tensor must be written
/// out before it is reshaped (a sum or product with another tensor does, one with a number does not), and here the
/// tests on the CPU find it where it is not.
///
/// # Panics
///
/// If the elements of `x` share places in memory, on a device that can tell.
fn reshape<D: DeviceExt, T: Tape<f32, D>, R: Shape, S: Shape>(
    x: Tensor<R, f32, D, T>,
    shape: S,
) -> Result<Tensor<S, f32, D, T>, D::Err> {
    assert!(
        !D::repeats_elements(&x),
        "a broadcast tensor must be written out before it is reshaped"
    );
    x.try_reshape_like(&shape)
}

impl<D: DeviceExt> Backend for Composed<D> {
    type Device = D;
    type Map = Tensor4<Self>;
    type Vectors = Tensor2<Self>;
    type ParameterCache = ();
    type ConvCache = Windows<D>;

    fn device(&self) -> &D {
        &self.device
    }

    fn conv_cache(&self) -> Windows<D> {
        self.windows.clone()
    }

    fn features<T: Tape<f32, D>>(x: Tensor4<Self, T>) -> Result<Features<Self, T>, D::Err> {
        let (x, tape) = x.split_tape();
        Ok(Features::new(x, tape))
    }

    fn images<T: Tape<f32, D>>(x: Features<Self, T>) -> Result<Tensor4<Self, T>, D::Err> {
        let (x, tape) = x.split();
        Ok(x.put_tape(tape))
    }

    fn vectors<T: Tape<f32, D>>(x: Tensor2<Self, T>) -> Result<Vectors<Self, T>, D::Err> {
        Ok(Vectors::from_tensor(x))
    }

    fn conv2d<T: Tape<f32, D>>(x: Features<Self, T>, layer: &Conv2d<Self>) -> Result<Features<Self, T>, D::Err> {
        Self::features(conv::conv2d(Self::images(x)?, layer)?)
    }

    fn norm_conv<T, U>(
        x: Features<Self, T>,
        norm: &GroupNorm<Self>,
        modulation: Option<Vectors<Self, U>>,
        activation: Activation,
        conv: &Conv2d<Self>,
    ) -> Result<Features<Self, T>, D::Err>
    where
        T: Tape<f32, D> + Merge<U>,
        U: Tape<f32, D>,
    {
        Self::features(norm_conv::norm_conv(
            Self::images(x)?,
            norm,
            modulation.map(Vectors::into_tensor),
            activation,
            conv,
        )?)
    }

    fn norm<T: Tape<f32, D>>(
        x: Features<Self, T>,
        norm: &GroupNorm<Self>,
        activation: Activation,
    ) -> Result<Features<Self, T>, D::Err> {
        Self::features(norm_conv::norm(Self::images(x)?, norm, activation)?)
    }

    fn shift_channels<T, U>(x: Features<Self, T>, shift: Vectors<Self, U>) -> Result<Features<Self, T>, D::Err>
    where
        T: Tape<f32, D> + Merge<U>,
        U: Tape<f32, D>,
    {
        Self::features(combine::shift_channels::<Self, T, U>(
            Self::images(x)?,
            shift.into_tensor(),
        )?)
    }

    fn attend<T: Tape<f32, D>>(qkv: Features<Self, T>, heads: usize) -> Result<Features<Self, T>, D::Err> {
        Self::features(attention::attend(Self::images(qkv)?, heads)?)
    }

    fn linear<T: Tape<f32, D>>(x: Vectors<Self, T>, layer: &Linear<Self>) -> Result<Vectors<Self, T>, D::Err> {
        linear::linear(x.into_tensor(), layer).map(Vectors::from_tensor)
    }

    fn silu<T: Tape<f32, D>>(x: Vectors<Self, T>) -> Result<Vectors<Self, T>, D::Err> {
        activation::silu(x.into_tensor()).map(Vectors::from_tensor)
    }

    fn add<T: Tape<f32, D>>(x: Features<Self, T>, y: Features<Self, T>) -> Result<Features<Self, T>, D::Err> {
        Self::features(combine::add(Self::images(x)?, Self::images(y)?)?)
    }

    fn blend<T: Tape<f32, D>>(
        x: Tensor4<Self, T>,
        a: &[f32],
        y: Tensor4<Self, T>,
        b: &[f32],
    ) -> Result<Tensor4<Self, T>, D::Err> {
        combine::blend(x, a, y, b)
    }

    fn concat_channels<T: Tape<f32, D>>(
        x: Features<Self, T>,
        y: Features<Self, T>,
    ) -> Result<Features<Self, T>, D::Err> {
        Self::features(combine::concat_channels(Self::images(x)?, Self::images(y)?)?)
    }

    fn upsample2<T: Tape<f32, D>>(x: Features<Self, T>) -> Result<Features<Self, T>, D::Err> {
        Self::features(resample::upsample2(Self::images(x)?)?)
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
}

#[cfg(test)]
mod tests {
    use dfdx::shapes::{Axes2, Axes3, Axis};
    use dfdx::tensor::{Cpu, NoneTape, TensorFromVec};
    use dfdx::tensor_ops::{BroadcastTo, PermuteTo};

    use super::*;

    fn row() -> Tensor<(usize,), f32, Cpu> {
        Cpu::default().tensor_from_vec(vec![1.0, 2.0, 3.0], (3,))
    }

    #[test]
    #[should_panic(expected = "a broadcast tensor must be written out before it is reshaped")]
    fn a_broadcast_tensor_is_not_reshaped() {
        let repeated = row().broadcast_like::<(usize, usize), Axis<0>>(&(2, 3));
        let _ = reshape::<Cpu, NoneTape, _, _>(repeated, (6,));
    }

    #[test]
    fn tensors_that_were_written_out_or_permuted_are_reshaped() {
        let repeated = row().broadcast_like::<(usize, usize, usize), Axes2<0, 1>>(&(1, 2, 3));
        let ones: Tensor<(usize, usize, usize), f32, Cpu> = repeated.device().tensor_from_vec(vec![1.0; 6], (1, 2, 3));
        let written = reshape(repeated * ones, (3, 1, 2)).expect("a reshape");
        assert_eq!(written.as_vec(), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        let permuted = written.permute::<(usize, usize, usize), Axes3<2, 1, 0>>();
        assert_eq!(
            reshape(permuted, (6,)).expect("a reshape").as_vec(),
            [1.0, 3.0, 2.0, 2.0, 1.0, 3.0]
        );
    }
}
