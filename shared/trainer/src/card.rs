//! The card of a trained prior: what it was made of and how good it is.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::checkpoint::Checkpoint;
use crate::error::{TrainError, write_json};
use crate::halves::{Halves, Means};

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
    /// Which of those the weights were chosen on.
    pub halves: Halves,
    /// Validation loss of the weights beside the card.
    pub validation_loss: Means,
    /// Times, and the PSNR in dB of one-step denoising there.
    pub denoising_psnr: Vec<(usize, Means)>,
}

impl Card {
    /// How good the network is on some of the images.
    fn quality(&self, side: impl Fn(&Means) -> Option<f64>) -> Map<String, Value> {
        let psnr: Map<String, Value> = self
            .denoising_psnr
            .iter()
            .filter_map(|(t, means)| Some((format!("t={t}"), ((side(means)? * 1000.0).round() / 1000.0).into())))
            .collect();
        Map::from_iter([
            ("validation_loss".into(), side(&self.validation_loss).into()),
            ("denoising_psnr_db".into(), psnr.into()),
        ])
    }
}

/// Writes `training.json`: the numbers of a card, for people and programs. The words around them (licence, attribution,
/// limits) are the author's and belong in `README.md` beside it.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_card(folder: &Path, card: &Card, counters: &Checkpoint) -> Result<(), TrainError> {
    let mut chosen_on = card.quality(|means| Some(means.chosen_on));
    chosen_on.insert("folders".into(), json!(card.halves.folders));
    let mut json = json!({
        "name": card.name,
        "parameters": card.parameters,
        "train_images": card.train_images,
        "test_images": card.test_images,
        "steps": counters.step,
        "images_seen": counters.images_seen,
        "training_minutes": (counters.seconds / 6.0).round() / 10.0,
        "best_at_step": counters.best.map(|(_, step)| step),
        "chosen_on": chosen_on,
    });
    if let Value::Object(entries) = &mut json {
        entries.extend(card.quality(|means| Some(means.all)));
        if card.validation_loss.apart.is_some() {
            entries.insert("kept_apart".into(), card.quality(|means| means.apart).into());
        }
    }
    write_json(folder.join("training.json"), &json)
}
