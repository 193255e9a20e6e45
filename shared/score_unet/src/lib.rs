//! The score network: a UNet that predicts the noise in an image, its configuration and weights files, the
//! [`diffusion::ScoreModel`] made of them, and the trainer.
//!
//! * [`UNetConfig`]: the sizes of a network, a JSON file beside its weights.
//! * [`UNet`]: the network itself, generic over the device it runs on.
//! * [`Prior`]: a trained network as a score model; this is what samplers are given.
//! * [`DeviceChoice`], [`Device`]: where a network runs.
//! * [`run_command`]: how the programs `train` and `bench` start and end.
//! * [`training`]: data, loss, checkpoints; driven by the `train` binary.
//!
//! This crate knows nothing of measurements, operators or the students' tasks.

mod command;
mod config;
#[cfg(any(test, feature = "cuda"))]
mod own_thread;
mod prior;
mod score;
pub mod training;
mod unet;

pub use command::{run_command, without_device_panic};
pub use config::{ConfigError, UNetConfig};
pub use nn::{Device, DeviceChoice, DeviceError};
pub use prior::{Prior, PriorError, folder_name};
pub use unet::UNet;
