//! The flags of the program.

use std::path::PathBuf;

use clap::{Parser, value_parser};
use lpips_tools::training::Settings;
use program::ThreadOptions;

/// Train the backbone that LPIPS (embedded) measures distances with, to tell ten classes of images apart.
///
/// Writes into --out: weights.safetensors (the moving average of the weights, after every epoch), checkpoint.ckpt (to
/// go on from with --resume), log.csv and, at the end, training.json.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Options {
    /// Data set: a folder or zip file with images at train/CLASS/FILE and test/CLASS/FILE, ten classes (CIFAR-10)
    #[arg(long, value_name = "DIR_OR_ZIP")]
    pub data: PathBuf,
    /// Folder for everything that the training writes; it must not hold another training
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on from the checkpoint in --out, with the settings and images it began with; only --epochs or --minutes may
    /// be new
    #[arg(long)]
    pub resume: bool,
    /// Passes over the training images [default: 20, unless --minutes is given]
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub epochs: Option<u64>,
    /// Train for this many minutes altogether instead, runs before --resume counted in, tests not
    #[arg(long, conflicts_with = "epochs", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// Images in a batch, 1 to 4096 [default: 64]
    #[arg(long, value_parser = value_parser!(u16).range(1..=4096))]
    pub batch: Option<u16>,
    /// Learning rate after the warm-up; it falls along a cosine to zero [default: 0.002]
    #[arg(long, value_parser = share)]
    pub learning_rate: Option<f64>,
    /// Decoupled weight decay [default: 0.05]
    #[arg(long, value_parser = share)]
    pub weight_decay: Option<f64>,
    /// Label smoothing [default: 0.1]
    #[arg(long, value_parser = share)]
    pub smoothing: Option<f64>,
    /// Decay of the moving average of the weights [default: 0.998]
    #[arg(long, value_parser = share)]
    pub average_decay: Option<f64>,
    /// Steps over which the learning rate rises from zero [default: 300]
    #[arg(long)]
    pub warmup_steps: Option<u64>,
    /// Seed of the first weights and of every batch [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub threads: ThreadOptions,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok();
    let minutes = minutes.filter(|minutes| *minutes > 0.0 && minutes.is_finite());
    minutes.ok_or_else(|| "expected a positive number".into())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to below 1".into())
}

/// Where nothing is named.
pub const DEFAULTS: Settings = Settings {
    epochs: 20,
    minutes: None,
    batch: 64,
    learning_rate: 2e-3,
    weight_decay: 0.05,
    smoothing: 0.1,
    average_decay: 0.998,
    warmup_steps: 300,
    seed: 0,
};

impl Options {
    /// What is named, and for the rest what was `before`.
    pub fn settings(&self, before: Settings) -> Settings {
        let named_epochs = self.epochs.map(|_| None);
        Settings {
            epochs: self.epochs.unwrap_or(before.epochs),
            minutes: named_epochs.unwrap_or(self.minutes.or(before.minutes)),
            batch: self.batch.map_or(before.batch, usize::from),
            learning_rate: self.learning_rate.unwrap_or(before.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(before.weight_decay),
            smoothing: self.smoothing.map_or(before.smoothing, |smoothing| smoothing as f32),
            average_decay: self.average_decay.unwrap_or(before.average_decay),
            warmup_steps: self.warmup_steps.unwrap_or(before.warmup_steps),
            seed: self.seed.unwrap_or(before.seed),
        }
    }
}
