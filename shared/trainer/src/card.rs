//! The card of a trained prior: what it was made of and how good it is.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::error::{TrainError, write_json};

/// What a card says beyond the counters of the training.
#[derive(Debug, Clone)]
pub struct Card {
    /// Name of the prior.
    pub name: String,
    /// Number of learned values.
    pub parameters: usize,
    /// Number of training images.
    pub train_images: usize,
    /// Number of validation images.
    pub test_images: usize,
    /// Validation loss of the weights beside the card.
    pub validation_loss: f64,
    /// Times, and the PSNR in dB of one-step denoising there.
    pub denoising_psnr: Vec<(usize, f64)>,
}

/// Writes `training.json`: the numbers of a card, for people and programs. The words around them (licence, attribution,
/// limits) are the author's and belong in `README.md` beside it.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_card(folder: &Path, card: &Card, counters: &Checkpoint) -> Result<(), TrainError> {
    let psnr: serde_json::Map<String, serde_json::Value> = card
        .denoising_psnr
        .iter()
        .map(|(t, psnr)| (format!("t={t}"), ((psnr * 1000.0).round() / 1000.0).into()))
        .collect();
    let json = serde_json::json!({
        "name": card.name,
        "parameters": card.parameters,
        "train_images": card.train_images,
        "test_images": card.test_images,
        "steps": counters.step,
        "images_seen": counters.images_seen,
        "training_minutes": (counters.seconds / 6.0).round() / 10.0,
        "validation_loss": card.validation_loss,
        "best_at_step": counters.best.map(|(_, step)| step),
        "denoising_psnr_db": psnr,
    });
    write_json(folder.join("training.json"), &json)
}
