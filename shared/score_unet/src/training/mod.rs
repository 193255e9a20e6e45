//! Training a score network: data, loss, optimiser, validation, checkpoints.
//!
//! The loss is that of DDPM (Ho et al. 2020, algorithm 1 and equation 14): the mean squared error between the noise that
//! was added and the noise that the network predicts, at a random time, weighted by `1 / sqrt(alpha_bar_t)`.

mod batch;
mod card;
mod checkpoint;
mod preview;
mod targets;
mod trainer;
mod validate;

pub use batch::{TrainingBatch, draw_batch};
pub use card::{Card, write_card};
pub use checkpoint::{CHECKPOINT_FILE, Checkpoint, CheckpointError};
pub use preview::denoising_preview;
pub use trainer::{Progress, Trainer, TrainerConfig, TrainingStepBench};
pub use validate::{DENOISING_TIMES, denoising_psnr, validation_loss};
