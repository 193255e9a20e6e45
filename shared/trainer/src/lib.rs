//! Training a score network: data, loss, optimiser, validation, checkpoints. The program `train` drives it, and `bench`
//! times the network: `cargo run -p trainer -- --help`, `cargo run -p trainer --bin bench -- --help`.
//!
//! The loss is that of DDPM (Ho et al. 2020, algorithm 1 and equation 14): the mean squared error between the noise
//! that was added and the noise that the network predicts, at a random time, weighted by `1 / sqrt(alpha_bar_t)`.
//!
//! * [`Trainer`]: one step after the other, validation, and what is kept.
//! * [`draw_batch`]: images, times and noise.
//! * [`Checkpoint`]: everything that a training needs to go on.
//! * [`validation_losses`], [`denoising_psnrs`], [`denoising_preview`]: how good a network is; [`Halves`]: on which
//!   images.
//! * [`write_card`]: what is said of it afterwards.
//! * [`Length`]: how long a training is.
//! * [`Ahead`]: the next batches are drawn while the network trains on this one; [`Changes`]: mirrored, turned,
//!   coloured.

mod ahead;
mod augment;
mod batch;
mod card;
mod checkpoint;
mod error;
mod halves;
mod length;
mod preview;
mod targets;
mod trainer;
mod validate;

pub use ahead::Ahead;
pub use augment::Changes;
pub use batch::{TrainingBatch, draw_batch};
pub use card::{Card, write_card};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use error::TrainError;
pub use halves::{Halves, Means};
pub use length::Length;
pub use preview::denoising_preview;
pub use trainer::{Progress, Trainer, TrainerConfig, TrainingStepBench};
pub use validate::{DENOISING_TIMES, denoising_psnrs, validation_losses};
