//! Neural-network parts on dfdx tensors that stable dfdx does not have: convolutions, group normalisation, attention,
//! their parameters, and what a training loop needs (Adam, moving average, weights files).
//!
//! * [`Backend`]: the differentiable ops. [`dfdx::tensor::Cpu`] and, with the feature `cuda`, `Gpu` run them on
//!   `kernels`;
//!   [`Composed`] makes them of dfdx's own ops, on any device of dfdx's: the other two are compared with it.
//! * [`Features`], [`Vectors`]: what passes between two layers, kept as the backend likes.
//! * [`DeviceChoice`], [`Device`]: what a user asks for, and what was found. [`DeviceThread`]: where a GPU lives.
//! * [`Conv2d`], [`Linear`], [`GroupNorm`], [`Attention`]: layers with PyTorch's parameter names and layouts.
//! * [`Parameter`], [`Parameters`]: a named tensor, and the list of them that a network owns.
//! * [`Adam`], [`update_average`]: dfdx's optimiser step and moving average over such a list.
//! * [`read_weights`], [`load_weights`], [`read_weights_into`], [`save_weights`]: safetensors files, checked tensor by
//!   tensor.
//!
//! This crate knows nothing of diffusion, images or schedules.

mod adam;
mod average;
mod backend;
mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod device_ext;
mod device_thread;
mod features;
#[cfg(feature = "cuda")]
mod gpu;
mod layers;
#[cfg(feature = "cuda")]
mod opened_gpu;
mod parameter;
mod versioned;
mod weights;
mod weights_file;

// Whatever this library is part of is linked with the stand-in.
#[cfg(feature = "cuda-stand-in")]
use cuda_stand_in as _;

pub use adam::{Adam, AdamState, Moments, gradient_norm};
pub use average::update_average;
pub use backend::{Backend, Gradient, Scalar, Tensor1, Tensor2, Tensor4, Traced4};
pub use composed::Composed;
pub use device::{Device, DeviceChoice, DeviceError};
pub use device_ext::DeviceExt;
pub use device_thread::DeviceThread;
pub use dfdx::tensor::Cpu;
pub use features::{Features, Vectors};
#[cfg(feature = "cuda")]
pub use gpu::Gpu;
pub use layers::{Attention, Conv2d, GroupNorm, Linear, Residual};
#[cfg(feature = "cuda")]
pub use opened_gpu::OpenedGpu;
#[doc(hidden)]
pub use parameter::join;
pub use parameter::{Parameter, Parameters};
pub use weights::{
    FloatType, NamedTensor, WeightsError, load_weights, parse_weights, read_metadata, read_weights, save_tensors,
    save_weights,
};
pub use weights_file::read_weights_into;
