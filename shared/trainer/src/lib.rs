//! Training a score network: data, loss, optimiser, validation, checkpoints. The program `train` drives it, and `bench`
//! times the network: `cargo run -p trainer -- --help`, `cargo run -p trainer --bin bench -- --help`.
//!
//! The loss is that of DDPM (Ho et al. 2020, algorithm 1 and equation 14): the mean squared error between the noise
//! that was added and the noise that the network predicts, at a random time, weighted by `1 / sqrt(alpha_bar_t)`.
//!
//! * [`Trainer`]: one step after the other, validation, and what is kept.
//! * [`draw_batch`]: images, times and noise.
//! * [`Checkpoint`]: everything that a training needs to go on.
//! * [`validation_loss`], [`denoising_psnr`], [`denoising_preview`]: how good a network is.
//! * [`write_card`]: what is said of it afterwards.
//! * [`Length`]: how long a training is.
//! * [`Ahead`]: the next batch is drawn while the network trains on this one.

mod ahead;
mod batch;
mod card;
mod checkpoint;
mod error;
mod length;
mod preview;
mod targets;
mod trainer;
mod validate;

pub use ahead::Ahead;
pub use batch::{TrainingBatch, draw_batch};
pub use card::{Card, write_card};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use error::TrainError;
pub use length::Length;
pub use preview::denoising_preview;
pub use trainer::{Progress, Trainer, TrainerConfig, TrainingStepBench};
pub use validate::{DENOISING_TIMES, denoising_psnr, validation_loss};
