//! The score network: a UNet that predicts the noise in an image, its configuration and weights files, and the
//! [`diffusion::ScoreModel`] made of them.
//!
//! * [`UNetConfig`]: the architecture and the sizes of a network, a JSON file beside its weights.
//! * [`Prior`]: a trained network as a score model; this is what samplers are given.
//! * [`DeviceChoice`], [`Device`]: where a network runs.
//! * [`unet`], [`score`], [`own_thread`]: the network itself, generic over its backend, as a function of tensors, of
//!   arrays, and on a thread of its own. For whoever trains or tests one; whoever samples needs a [`Prior`] and nothing
//!   of dfdx.
//!
//! ```
//! use diffusion::ScoreModel;
//! use score_unet::Prior;
//!
//! let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/priors/fruits64");
//! let prior = Prior::load(&folder)?;
//! let x_t = ndarray::Array4::zeros((1, 3, 64, 64));
//! let (score, pullback) = prior.score_with_pullback(&x_t, 500)?;
//! let gradient = pullback(&score)?; // J^T score
//! assert_eq!(gradient.dim(), x_t.dim());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows nothing of measurements, operators, training data or the students' tasks.

mod block;
mod config;
mod guided;
mod network;
pub mod own_thread;
mod prior;
pub mod score;
mod small;
mod time;
pub mod unet;

pub use config::{
    ConfigError, GuidedConfig, Heads, NoiseSchedule, Resampling, SmallConfig, TimeInBlocks, UNetConfig, WaveOrder,
    Waves,
};
pub use nn::{Device, DeviceChoice, DeviceError};
pub use prior::{Prior, PriorError, folder_name};
