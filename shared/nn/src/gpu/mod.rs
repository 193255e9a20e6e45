//! The ops on NVIDIA GPUs, on our own kernels (`kernels::cuda`): the files are those of the CPU's folder, and so is the
//! pattern in each of them.
//!
//! Between the layers of a network there are no tensors but maps in memory of ours ([`map`]): dfdx lends no memory of
//! its tensors to other crates. Tensors are copied where they enter and leave ([`context`]), which images, vectors and
//! parameters do; gradients of parameters lie in dfdx's table, whose memory it does lend. A map's gradient is handed
//! from op to op, and an op that finds one there adds its part as it writes: no pass over memory is made for a sum.

mod attention;
mod combine;
mod context;
mod conv;
mod ends;
mod linear;
mod loss;
mod map;
mod norm;
mod norm_conv;
mod optimiser;
mod parameter;
mod resample;
mod residual;

use std::rc::Rc;

use dfdx::tensor::{Cuda, CudaError, Gradients, HasErr, Merge, Tape};
use dfdx::tensor_ops::AdamConfig;
use kernels::norm::Activation;

use crate::adam::Moments;
use crate::backend::{Backend, Scalar, Tensor2, Tensor4};
use crate::features::{Features, Vectors};
use crate::gpu::context::Context;
use crate::gpu::conv::ConvCache;
use crate::gpu::map::Recorded;
use crate::gpu::parameter::Values;
use crate::layers::{Conv2d, GroupNorm, Linear, Residual};
use crate::parameter::Parameter;

pub(crate) use context::kernels_on;

/// The backend of NVIDIA GPUs.
///
/// It must stay on the thread that opened it, since dfdx's `Cuda` must.
#[derive(Clone, Debug)]
pub struct Gpu {
    context: Rc<Context>,
}

impl Gpu {
    /// The backend on a device of dfdx's.
    pub(crate) fn on(device: Cuda) -> Result<Self, CudaError> {
        let context = Context::new(device)?;
        Ok(Self { context })
    }
}

impl HasErr for Gpu {
    type Err = CudaError;
}

impl Backend for Gpu {
    type Device = Cuda;
    type Map = Recorded;
    type Vectors = Recorded;
    type ParameterCache = Values;
    type ConvCache = ConvCache;

    fn device(&self) -> &Cuda {
        &self.context.device
    }

    fn conv_cache(&self) -> ConvCache {
        ConvCache::default()
    }

    fn features<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
        ends::features(x)
    }

    fn images<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Tensor4<Gpu, T>, CudaError> {
        ends::images(x)
    }

    fn vectors<T: Tape<f32, Cuda>>(x: Tensor2<Gpu, T>) -> Result<Vectors<Gpu, T>, CudaError> {
        ends::vectors(x)
    }

    fn conv2d<T: Tape<f32, Cuda>>(x: Features<Gpu, T>, layer: &Conv2d<Gpu>) -> Result<Features<Gpu, T>, CudaError> {
        conv::conv2d(x, layer)
    }

    fn norm_conv<T, U>(
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
        norm_conv::norm_conv(x, norm, modulation, activation, conv)
    }

    fn residual<T, U>(
        x: Features<Gpu, T>,
        modulation: Vectors<Gpu, U>,
        layers: &Residual<'_, Gpu>,
    ) -> Result<Features<Gpu, T>, CudaError>
    where
        T: Tape<f32, Cuda> + Merge<U>,
        U: Tape<f32, Cuda>,
    {
        residual::residual(x, modulation, layers)
    }

    fn norm<T: Tape<f32, Cuda>>(
        x: Features<Gpu, T>,
        norm: &GroupNorm<Gpu>,
        activation: Activation,
    ) -> Result<Features<Gpu, T>, CudaError> {
        norm::norm(x, norm, activation)
    }

    fn shift_channels<T, U>(x: Features<Gpu, T>, shift: Vectors<Gpu, U>) -> Result<Features<Gpu, T>, CudaError>
    where
        T: Tape<f32, Cuda> + Merge<U>,
        U: Tape<f32, Cuda>,
    {
        combine::shift_channels(x, shift)
    }

    fn average_pool2<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
        resample::average_pool2(x)
    }

    fn half_turn<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>) -> Result<Tensor4<Gpu, T>, CudaError> {
        resample::half_turn(x)
    }

    fn attend<T: Tape<f32, Cuda>>(qkv: Features<Gpu, T>, heads: usize) -> Result<Features<Gpu, T>, CudaError> {
        attention::attend(qkv, heads)
    }

    fn linear<T: Tape<f32, Cuda>>(x: Vectors<Gpu, T>, layer: &Linear<Gpu>) -> Result<Vectors<Gpu, T>, CudaError> {
        linear::linear(x, layer)
    }

    fn silu<T: Tape<f32, Cuda>>(x: Vectors<Gpu, T>) -> Result<Vectors<Gpu, T>, CudaError> {
        linear::silu(x)
    }

    fn add<T: Tape<f32, Cuda>>(x: Features<Gpu, T>, y: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
        combine::add(x, y)
    }

    fn concat_channels<T: Tape<f32, Cuda>>(
        x: Features<Gpu, T>,
        y: Features<Gpu, T>,
    ) -> Result<Features<Gpu, T>, CudaError> {
        combine::concat_channels(x, y)
    }

    fn upsample2<T: Tape<f32, Cuda>>(x: Features<Gpu, T>) -> Result<Features<Gpu, T>, CudaError> {
        resample::upsample2(x)
    }

    fn blend<T: Tape<f32, Cuda>>(
        x: Tensor4<Gpu, T>,
        a: &[f32],
        y: Tensor4<Gpu, T>,
        b: &[f32],
    ) -> Result<Tensor4<Gpu, T>, CudaError> {
        combine::blend(x, a, y, b)
    }

    fn pixel_unshuffle<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>, factor: usize) -> Result<Tensor4<Gpu, T>, CudaError> {
        resample::pixel_unshuffle(x, factor)
    }

    fn pixel_shuffle<T: Tape<f32, Cuda>>(x: Tensor4<Gpu, T>, factor: usize) -> Result<Tensor4<Gpu, T>, CudaError> {
        resample::pixel_shuffle(x, factor)
    }

    fn inner_product<T: Tape<f32, Cuda>>(
        x: Tensor4<Gpu, T>,
        cotangent: &Tensor4<Gpu>,
    ) -> Result<Scalar<Gpu, T>, CudaError> {
        loss::inner_product(x, cotangent)
    }

    fn mean_squared_error<T: Tape<f32, Cuda>>(
        x: Tensor4<Gpu, T>,
        target: &Tensor4<Gpu>,
        weights: &[f32],
    ) -> Result<Scalar<Gpu, T>, CudaError> {
        loss::mean_squared_error(x, target, weights)
    }

    fn parameter_to_vec(parameter: &Parameter<Gpu>) -> Vec<f32> {
        parameter::to_vec(parameter)
    }

    fn adam_step(
        parameter: &mut Parameter<Gpu>,
        gradients: &mut Gradients<f32, Cuda>,
        moments: &mut Moments<Gpu>,
        config: &AdamConfig,
        step: i32,
        factor: f32,
    ) -> Result<(), CudaError> {
        optimiser::adam_step(parameter, gradients, moments, config, step, factor)
    }

    fn average_step(average: &mut Parameter<Gpu>, parameter: &Parameter<Gpu>, decay: f64) -> Result<(), CudaError> {
        optimiser::average_step(average, parameter, decay)
    }
}
