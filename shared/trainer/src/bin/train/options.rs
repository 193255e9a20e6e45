//! The flags of the program.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};
use program::ThreadOptions;
use score_unet::DeviceChoice;
use trainer::{Changes, Length, TrainerConfig};

/// Train a score network on images.
///
/// Writes into --out: weights.safetensors and config.json (whenever the validation loss is the lowest so far),
/// training.json (what was measured), checkpoint.ckpt (to go on from with --resume), log.csv and preview_*.png.
///
/// Which weights are the best is decided on every second folder below test/; the loss on the others is reported apart.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Options {
    /// Data set: a folder or zip file with images below train/ and test/
    #[arg(long, value_name = "DIR_OR_ZIP")]
    pub data: PathBuf,
    /// Folder for everything that the training writes; it must not hold another training
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Train for this many minutes altogether, runs before --resume counted in, validation and previews not
    /// [default: 60, unless --steps is given]
    #[arg(long, conflicts_with = "steps", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// Train for this many optimiser steps altogether instead
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Go on from the checkpoint in --out, with the network, seed and images that the training began with; its length,
    /// batch, learning rate and the like stay as they are unless they are named
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights of this prior (a name in data/priors, or a folder), with a fresh optimiser
    #[arg(long, value_name = "NAME_OR_DIR", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Network configuration, a JSON file [default: that of --init or the checkpoint; else the 4-million-parameter
    /// network of fruits64]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Begin with this architecture's default sizes: small, the network of fruits64, or guided, guided-diffusion's with
    /// 2.9 million parameters for 64x64 images [default: small]
    #[arg(long, value_enum, conflicts_with_all = ["config", "init", "resume"])]
    pub architecture: Option<Architecture>,
    /// Seed of the first weights and of every batch [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub threads: ThreadOptions,
    /// Device to train on: cpu, cuda, cuda:N or auto; a checkpoint goes on on any
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// Images in a batch, 1 to 4096 [default: 32]
    #[arg(long, value_parser = value_parser!(u16).range(1..=4096))]
    pub batch: Option<u16>,
    /// Learning rate after the warm-up; it falls along a cosine to 5 % of that [default: 0.001]
    #[arg(long, value_parser = learning_rate)]
    pub learning_rate: Option<f64>,
    /// Largest relative change of each colour channel of a training image [default: 0]
    #[arg(long, value_parser = colour_jitter)]
    pub colour_jitter: Option<f32>,
    /// Largest rotation of a training image to either side, in degrees, below 180 [default: 0]
    #[arg(long, value_name = "DEGREES", value_parser = rotation)]
    pub rotation: Option<f32>,
    /// Decay of the moving average of the weights in a step, below 1 [default: 0.999]
    #[arg(long, value_name = "DECAY", value_parser = average_decay)]
    pub average_decay: Option<f64>,
    /// An image at time t counts in the loss as alpha_bar_t to minus this power: 0 for DDPM's loss, 1 for that of v
    /// [default: 0.5]
    #[arg(long, value_name = "POWER", value_parser = loss_exponent)]
    pub loss_exponent: Option<f64>,
    /// Measure the validation loss every so many steps
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u64).range(1..))]
    pub validate_every: u64,
    /// Write a picture every so many steps: validation images at four noise levels, noisy above, denoised below
    #[arg(long, default_value_t = 2000, value_parser = value_parser!(u64).range(1..))]
    pub preview_every: u64,
}

/// What `--architecture` names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Architecture {
    Small,
    Guided,
}

fn minutes(text: &str) -> Result<f64, String> {
    number(text, "a positive number", |minutes| {
        minutes > 0.0 && minutes.is_finite()
    })
}

fn learning_rate(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and below 1", |rate| rate > 0.0 && rate < 1.0)
}

fn colour_jitter(text: &str) -> Result<f32, String> {
    number(text, "a number from 0 to below 1", |jitter| {
        (0.0..1.0).contains(&jitter)
    })
    .map(|jitter| jitter as f32)
}

fn rotation(text: &str) -> Result<f32, String> {
    number(text, "degrees from 0 to below 180", |degrees| {
        (0.0..180.0).contains(&degrees)
    })
    .map(|degrees| degrees as f32)
}

fn average_decay(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to below 1", |decay| (0.0..1.0).contains(&decay))
}

fn loss_exponent(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1", |power| (0.0..=1.0).contains(&power))
}

fn number(text: &str, expected: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| fits(*number));
    number.ok_or_else(|| format!("expected {expected}"))
}

impl Options {
    /// What is named, and for the rest what was `before`.
    pub fn settings(&self, before: TrainerConfig) -> TrainerConfig {
        TrainerConfig {
            batch: self.batch.map_or(before.batch, usize::from),
            learning_rate: self.learning_rate.unwrap_or(before.learning_rate),
            average_decay: self.average_decay.unwrap_or(before.average_decay),
            changes: Changes {
                colour_jitter: self.colour_jitter.unwrap_or(before.changes.colour_jitter),
                rotation: self.rotation.unwrap_or(before.changes.rotation),
            },
            loss_exponent: self.loss_exponent.unwrap_or(before.loss_exponent),
            ..before
        }
    }

    /// What is named, else what was `before`, else an hour.
    pub fn length(&self, before: Option<Length>) -> Length {
        match (self.steps, self.minutes) {
            (Some(steps), _) => Length::Steps(steps),
            (None, Some(minutes)) => Length::Minutes(minutes),
            (None, None) => before.unwrap_or(Length::Minutes(60.0)),
        }
    }
}
