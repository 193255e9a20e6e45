//! Why a training cannot begin or go on.

use std::path::PathBuf;

use diffusion::ScoreError;
use imaging::ImageError;
use metrics::MetricError;
use nn::WeightsError;
use score_unet::{ConfigError, PriorError};

use crate::checkpoint::CheckpointError;

/// Why a training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The network's configuration is impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network that a training starts from cannot be read.
    #[error(transparent)]
    Prior(#[from] PriorError),
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The network failed: its device, or an array of another shape than its own.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Images that make no picture.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Images that cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The loss is no number any more.
    #[error(
        "the loss at step {step} is {loss}: the training has diverged; begin again with a smaller --learning-rate, or \
         resume with one if there is a checkpoint of before"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Writes a value as JSON for people, whole or not at all.
pub(crate) fn write_json(path: PathBuf, value: &impl serde::Serialize) -> Result<(), TrainError> {
    training::write_json(&path, value).map_err(|source| TrainError::Write { path, source })
}
