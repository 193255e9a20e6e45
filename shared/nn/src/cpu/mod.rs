//! The ops on the CPU: each reads its input, calls kernels, and records their gradient on dfdx's tape.
//!
//! The pattern, in every file of this folder: split the tape off the input; compute the output with a kernel; in the
//! backward closure take the output's gradient and add to the input's.
//!
//! Between the layers of a network there are no tensors but maps, whose channels lie last, as the kernels want them
//! ([`map`]). An image is turned where it enters and where it leaves ([`ends`]). Vectors, images and parameters are
//! dfdx's tensors, and their gradients lie in dfdx's table; a closure keeps their *ghosts* (identity and size, no
//! data).
//!
//! [`residual`] is a whole block of the network, made of the parts that [`norm_conv`] and [`conv`] are made of.

mod activation;
mod attention;
mod combine;
mod conv;
mod ends;
mod linear;
mod loss;
mod map;
mod norm;
mod norm_conv;
mod resample;
mod residual;
mod tape;

use dfdx::shapes::Shape;
use dfdx::tensor::{Cpu, CpuError, Gradients, Merge, Tape, Tensor};
use kernels::norm::Activation;

use crate::backend::{Backend, Gradient, Scalar, Tensor2, Tensor4};
use crate::cpu::conv::ConvCache;
use crate::cpu::map::Recorded;
use crate::device_ext::DeviceExt;
use crate::features::{Features, Vectors};
use crate::layers::{Conv2d, GroupNorm, Linear, Residual};

/// A flat parameter.
type Flat = Tensor<(usize,), f32, Cpu>;

impl Backend for Cpu {
    type Device = Cpu;
    type Map = Recorded;
    type Vectors = Tensor2<Self>;
    type ParameterCache = ();
    type ConvCache = ConvCache;

    fn device(&self) -> &Cpu {
        self
    }

    fn conv_cache(&self) -> ConvCache {
        ConvCache::default()
    }

    fn features<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
        ends::features(x)
    }

    fn images<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Tensor4<Cpu, T>, CpuError> {
        ends::images(x)
    }

    fn vectors<T: Tape<f32, Cpu>>(x: Tensor2<Cpu, T>) -> Result<Vectors<Cpu, T>, CpuError> {
        Ok(Vectors::from_tensor(x))
    }

    fn conv2d<T: Tape<f32, Cpu>>(x: Features<Cpu, T>, layer: &Conv2d<Cpu>) -> Result<Features<Cpu, T>, CpuError> {
        conv::conv2d(x, layer)
    }

    fn norm_conv<T, U>(
        x: Features<Cpu, T>,
        norm: &GroupNorm<Cpu>,
        modulation: Option<Vectors<Cpu, U>>,
        activation: Activation,
        conv: &Conv2d<Cpu>,
    ) -> Result<Features<Cpu, T>, CpuError>
    where
        T: Tape<f32, Cpu> + Merge<U>,
        U: Tape<f32, Cpu>,
    {
        norm_conv::norm_conv(x, norm, modulation.map(Vectors::into_tensor), activation, conv)
    }

    fn residual<T, U>(
        x: Features<Cpu, T>,
        modulation: Vectors<Cpu, U>,
        layers: &Residual<'_, Cpu>,
    ) -> Result<Features<Cpu, T>, CpuError>
    where
        T: Tape<f32, Cpu> + Merge<U>,
        U: Tape<f32, Cpu>,
    {
        residual::residual(x, modulation.into_tensor(), layers)
    }

    fn norm<T: Tape<f32, Cpu>>(
        x: Features<Cpu, T>,
        norm: &GroupNorm<Cpu>,
        activation: Activation,
    ) -> Result<Features<Cpu, T>, CpuError> {
        norm::norm(x, norm, activation)
    }

    fn shift_channels<T, U>(x: Features<Cpu, T>, shift: Vectors<Cpu, U>) -> Result<Features<Cpu, T>, CpuError>
    where
        T: Tape<f32, Cpu> + Merge<U>,
        U: Tape<f32, Cpu>,
    {
        combine::shift_channels(x, shift.into_tensor())
    }

    fn average_pool2<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
        resample::average_pool2(x)
    }

    fn attend<T: Tape<f32, Cpu>>(qkv: Features<Cpu, T>, heads: usize) -> Result<Features<Cpu, T>, CpuError> {
        attention::attend(qkv, heads)
    }

    fn linear<T: Tape<f32, Cpu>>(x: Vectors<Cpu, T>, layer: &Linear<Cpu>) -> Result<Vectors<Cpu, T>, CpuError> {
        linear::linear(x.into_tensor(), layer).map(Vectors::from_tensor)
    }

    fn silu<T: Tape<f32, Cpu>>(x: Vectors<Cpu, T>) -> Result<Vectors<Cpu, T>, CpuError> {
        activation::silu(x.into_tensor()).map(Vectors::from_tensor)
    }

    fn add<T: Tape<f32, Cpu>>(x: Features<Cpu, T>, y: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
        combine::add(x, y)
    }

    fn blend<T: Tape<f32, Cpu>>(
        x: Tensor4<Cpu, T>,
        a: &[f32],
        y: Tensor4<Cpu, T>,
        b: &[f32],
    ) -> Result<Tensor4<Cpu, T>, CpuError> {
        combine::blend(x, a, y, b)
    }

    fn concat_channels<T: Tape<f32, Cpu>>(
        x: Features<Cpu, T>,
        y: Features<Cpu, T>,
    ) -> Result<Features<Cpu, T>, CpuError> {
        combine::concat_channels(x, y)
    }

    fn upsample2<T: Tape<f32, Cpu>>(x: Features<Cpu, T>) -> Result<Features<Cpu, T>, CpuError> {
        resample::upsample2(x)
    }

    fn pixel_unshuffle<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, factor: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
        resample::pixel_unshuffle(x, factor)
    }

    fn pixel_shuffle<T: Tape<f32, Cpu>>(x: Tensor4<Cpu, T>, factor: usize) -> Result<Tensor4<Cpu, T>, CpuError> {
        resample::pixel_shuffle(x, factor)
    }

    fn inner_product<T: Tape<f32, Cpu>>(
        x: Tensor4<Cpu, T>,
        cotangent: &Tensor4<Cpu>,
    ) -> Result<Scalar<Cpu, T>, CpuError> {
        loss::inner_product(x, cotangent)
    }

    fn mean_squared_error<T: Tape<f32, Cpu>>(
        x: Tensor4<Cpu, T>,
        target: &Tensor4<Cpu>,
        weights: &[f32],
    ) -> Result<Scalar<Cpu, T>, CpuError> {
        loss::mean_squared_error(x, target, weights)
    }
}

impl DeviceExt for Cpu {
    const IS_GPU: bool = false;

    fn gradient_to_vec(gradient: &Gradient<Cpu>) -> Result<Vec<f32>, CpuError> {
        Ok(gradient.to_vec())
    }

    fn write_gradient(gradient: &mut Gradient<Cpu>, values: &[f32]) -> Result<(), CpuError> {
        if gradient.len() != values.len() {
            return Err(CpuError::WrongNumElements);
        }
        gradient.copy_from_slice(values);
        Ok(())
    }

    fn squared_norm(gradients: &mut Gradients<f32, Cpu>, parameters: &[&Flat]) -> Result<f64, CpuError> {
        let mut total = 0.0;
        for &parameter in parameters {
            let gradient = gradients.get_or_alloc_mut(parameter)?;
            // Chunks in f32 vectorise; their sums in f64 keep the precision.
            let sums = gradient
                .chunks(256)
                .map(|chunk| chunk.iter().map(|g| g * g).sum::<f32>());
            total += sums.map(f64::from).sum::<f64>();
        }
        Ok(total)
    }

    fn scale_gradient(gradients: &mut Gradients<f32, Cpu>, parameter: &mut Flat, factor: f32) -> Result<(), CpuError> {
        gradients
            .get_or_alloc_mut(parameter)?
            .iter_mut()
            .for_each(|g| *g *= factor);
        Ok(())
    }

    fn repeats_elements<S: Shape, T>(x: &Tensor<S, f32, Cpu, T>) -> bool {
        tape::repeats_elements(x)
    }

    fn describe(&self) -> String {
        format!("the CPU ({} kernels)", kernels::simd::simd_path())
    }

    fn explain(error: &CpuError) -> String {
        error.to_string()
    }
}
