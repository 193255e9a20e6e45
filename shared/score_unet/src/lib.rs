//! The score network: a UNet that predicts the noise in an image, its configuration and weights files, the
//! [`diffusion::ScoreModel`] made of them, and the trainer.
//!
//! * [`UNetConfig`]: the sizes of a network, a JSON file beside its weights.
//! * [`UNet`]: the network itself, generic over the device it runs on.
//! * [`Prior`]: a trained network as a score model; this is what samplers are given.
//! * [`run_command`]: how the programs `train` and `bench` start and end.
//! * [`training`]: data, loss, checkpoints; driven by the `train` binary.
//!
//! This crate knows nothing of measurements, operators or the students' tasks.

mod command;
mod config;
mod prior;
pub mod training;
mod unet;

pub use command::run_command;
pub use config::{ConfigError, UNetConfig};
pub use prior::{Prior, PriorError};
pub use unet::UNet;
