//! The training loop.

use std::path::Path;
use std::thread::Scope;
use std::time::Instant;

use dfdx::tensor::{PutTape, SplitTape};
use dfdx::tensor_ops::{AdamConfig, Backward};
use diffusion::Schedule;
use imaging::PixelSet;
use ndarray::Array4;
use nn::{Adam, Backend, FloatType, gradient_norm, update_average};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::UNetConfig;
use score_unet::score::{device_error, to_tensor};
use score_unet::unet::UNet;
use serde::{Deserialize, Serialize};
use training::CHECKPOINT_FILE;

use crate::ahead::{Ahead, Recipe};
use crate::augment::Changes;
use crate::batch::TrainingBatch;
use crate::checkpoint::Checkpoint;
use crate::error::{TrainError, write_json};
use crate::halves::{Halves, Means};
use crate::length::Length;
use crate::validate::validation_losses;

/// The settings of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerConfig {
    /// Images in a batch.
    pub batch: usize,
    /// Learning rate after the warm-up; it falls along a cosine to 5 % of that.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises from zero.
    pub warmup_steps: u64,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
    /// Largest norm of all gradients together.
    pub max_gradient_norm: f64,
    /// How the training images are changed.
    #[serde(flatten)]
    pub changes: Changes,
    /// An image at time `t` counts in the loss as `alpha_bar_t` to minus this power.
    #[serde(default = "half")]
    pub loss_exponent: f64,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            batch: 32,
            learning_rate: 1e-3,
            warmup_steps: 300,
            average_decay: 0.999,
            max_gradient_norm: 1.0,
            changes: Changes::default(),
            loss_exponent: half(),
        }
    }
}

/// What one step reports.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Optimiser steps made so far.
    pub step: u64,
    /// Mean squared error of the predicted noise in this batch.
    pub loss: f64,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f64,
}

/// A network in training, its moving average and its optimiser.
#[derive(Debug)]
pub struct Trainer<B: Backend> {
    config: TrainerConfig,
    schedule: Schedule,
    counters: Checkpoint,
    network: UNet<B>,
    average: UNet<B>,
    adam: Adam<B>,
}

/// Half way (geometrically) between the loss of DDPM, 0, which hardly counts the times at which shape and colour are
/// decided, and that of `v`, 1, which hardly counts the times at which details are.
fn half() -> f64 {
    0.5
}

/// The weight of an image at time `t` in the loss.
fn loss_weight(schedule: &Schedule, t: usize, exponent: f64) -> f32 {
    schedule.alpha_bar(t).powf(-exponent) as f32
}

/// Adam with betas 0.9 and 0.99: a second moment that forgets faster suits short trainings.
fn adam<B: Backend>() -> Adam<B> {
    Adam::new(AdamConfig {
        lr: 0.0,
        betas: [0.9, 0.99],
        eps: 1e-8,
        weight_decay: None,
    })
}

impl<B: Backend> Trainer<B> {
    /// A training from scratch on `backend`; `seed` decides the first weights and every batch.
    ///
    /// # Errors
    ///
    /// If the network's configuration is invalid.
    pub fn new(backend: &B, network: &UNetConfig, config: TrainerConfig, seed: u64) -> Result<Self, TrainError> {
        kernels::memory::keep_freed_memory();
        let unet = UNet::new(network, backend, &mut StdRng::seed_from_u64(seed))?;
        let average = unet.duplicate()?;
        let counters = Checkpoint::start(network, seed);
        let schedule = network.schedule()?;
        Ok(Self {
            config,
            schedule,
            counters,
            network: unet,
            average,
            adam: adam(),
        })
    }

    /// A training that goes on from the checkpoint in `folder`, whatever device wrote it.
    ///
    /// # Errors
    ///
    /// If there is none, or it is damaged.
    pub fn resume(backend: &B, folder: &Path, config: TrainerConfig) -> Result<Self, TrainError> {
        kernels::memory::keep_freed_memory();
        let mut adam = adam();
        let build = |config: &UNetConfig| UNet::blank(config, backend);
        let (counters, network, average) = Checkpoint::load(&folder.join(CHECKPOINT_FILE), build, &mut adam)?;
        let schedule = counters.config.schedule()?;
        Ok(Self {
            config,
            schedule,
            counters,
            network,
            average,
            adam,
        })
    }

    /// A training that starts from weights alone, without optimiser state.
    ///
    /// # Errors
    ///
    /// If the weights do not fit the configuration.
    pub fn from_weights(
        backend: &B,
        network: &UNetConfig,
        weights: &Path,
        config: TrainerConfig,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut trainer = Self::new(backend, network, config, seed)?;
        nn::load_weights(&mut trainer.network, &nn::read_weights(weights)?)?;
        trainer.average = trainer.network.duplicate()?;
        Ok(trainer)
    }

    /// Steps, images and seconds so far.
    #[must_use]
    pub fn counters(&self) -> &Checkpoint {
        &self.counters
    }

    /// Keeps in the checkpoint how long it is to be trained, and on what images (see [`training::fingerprint`]).
    pub fn remember(&mut self, length: Length, data: String) {
        (self.counters.length, self.counters.data) = (Some(length), Some(data));
    }

    /// The moving average of the weights: the network that is used afterwards.
    #[must_use]
    pub fn average(&self) -> &UNet<B> {
        &self.average
    }

    /// The batches of the steps to come, for [`Trainer::step`], drawn by a thread of `scope`.
    #[must_use]
    pub fn batches<'scope>(&self, scope: &'scope Scope<'scope, '_>, images: &'scope PixelSet) -> Ahead {
        let recipe = Recipe {
            schedule: self.schedule.clone(),
            size: self.config.batch,
            changes: self.config.changes,
            seed: self.counters.seed,
        };
        Ahead::start(scope, images, recipe, self.counters.step)
    }

    /// One optimiser step. `fraction`, in `0..=1`, is how much of the training is over; the learning rate follows it.
    ///
    /// # Errors
    ///
    /// What the device reports; a loss that is no number. The batches are used up then.
    ///
    /// # Panics
    ///
    /// If `batches` are not those of [`Trainer::batches`], or go on after an error.
    pub fn step(&mut self, batches: &mut Ahead, fraction: f64) -> Result<Progress, TrainError> {
        let start = Instant::now();
        let batch = batches.next(self.counters.step)?;
        let progress = self.update(batch, fraction)?;
        self.counters.seconds += start.elapsed().as_secs_f64();
        Ok(progress)
    }

    /// Loss, gradients, Adam and moving average for one batch.
    fn update(&mut self, batch: TrainingBatch, fraction: f64) -> Result<Progress, TrainError> {
        let on_device = |x| to_tensor(self.network.backend(), x);
        let images = batch.t.len() as u64;
        let (x_t, eps) = (on_device(batch.x_t)?, on_device(batch.eps)?);
        let predicted = self
            .network
            .forward_training(x_t, &batch.t)
            .map_err(device_error::<B>)?;
        let weights: Vec<f32> = batch
            .t
            .iter()
            .map(|&t| loss_weight(&self.schedule, t, self.config.loss_exponent))
            .collect();
        let loss = B::mean_squared_error(predicted, &eps, &weights).map_err(device_error::<B>)?;
        let (loss, tape) = loss.split_tape();
        let mut gradients = loss.clone().put_tape(tape).try_backward().map_err(device_error::<B>)?;
        // Both are read once all is under way: a GPU would stand still between the passes.
        let gradient_norm = gradient_norm(&self.network, &mut gradients).map_err(device_error::<B>)?;
        let loss = f64::from(loss.as_vec()[0]);
        if !loss.is_finite() {
            let step = self.counters.step;
            return Err(TrainError::Diverged { step, loss });
        }

        self.adam.config.lr = self.learning_rate(fraction);
        let max_norm = self.config.max_gradient_norm;
        self.adam
            .update_clipped(&mut self.network, &mut gradients, gradient_norm, max_norm)
            .map_err(device_error::<B>)?;
        self.counters.step += 1;
        self.counters.images_seen += images;
        let decay = self.average_decay();
        update_average(&mut self.average, &self.network, decay).map_err(device_error::<B>)?;
        Ok(Progress {
            step: self.counters.step,
            loss,
            gradient_norm,
        })
    }

    fn learning_rate(&self, fraction: f64) -> f64 {
        let warmup = ((self.counters.step + 1) as f64 / self.config.warmup_steps.max(1) as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * fraction.clamp(0.0, 1.0)).cos());
        self.config.learning_rate * warmup * (0.05 + 0.95 * cosine)
    }

    /// Early on the average must forget the random first weights quickly.
    fn average_decay(&self) -> f64 {
        let step = self.counters.step as f64;
        self.config.average_decay.min((1.0 + step) / (10.0 + step))
    }

    /// Writes the checkpoint into `folder`, whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&mut self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(CHECKPOINT_FILE);
        self.counters.settings = Some(self.config.clone());
        Ok(self
            .counters
            .save(&path, &self.network, &self.average, &mut self.adam)?)
    }

    /// Measures the averaged network on `images`; where that is the best so far on the half of them that decides,
    /// writes it into `folder` as `weights.safetensors` (f16) and `config.json`. Returns the losses and whether they
    /// were the best.
    ///
    /// # Errors
    ///
    /// If the files cannot be written.
    pub fn validate(&mut self, images: &PixelSet, folder: &Path) -> Result<(Means, bool), TrainError> {
        let losses = Halves::of(&images.names).means(&validation_losses(&self.average, images)?);
        let loss = losses.chosen_on;
        let improved = self.counters.best.is_none_or(|(best, _)| loss < best);
        if improved {
            self.counters.best = Some((loss, self.counters.step));
            nn::save_weights(&folder.join("weights.safetensors"), &self.average, FloatType::F16)?;
            write_json(folder.join("config.json"), &self.counters.config)?;
        }
        Ok((losses, improved))
    }
}

/// One training step on a fixed batch, for timing.
#[derive(Debug)]
pub struct TrainingStepBench<B: Backend> {
    trainer: Trainer<B>,
    batch: TrainingBatch,
}

impl<B: Backend> TrainingStepBench<B> {
    /// Starts from the weights of the prior in `folder`, with noisy images `x_t` and noise `eps` of one shape
    /// `[B, C, H, W]`.
    ///
    /// # Errors
    ///
    /// If there is no prior in the folder.
    pub fn new(backend: &B, folder: &Path, x_t: Array4<f32>, eps: Array4<f32>) -> Result<Self, TrainError> {
        let network = UNet::load(folder, backend)?;
        let mut trainer = Trainer::new(backend, network.config(), TrainerConfig::default(), 0)?;
        trainer.network = network;
        let t = vec![trainer.schedule.num_steps().min(500); x_t.dim().0];
        Ok(Self {
            trainer,
            batch: TrainingBatch { x_t, t, eps },
        })
    }

    /// Runs the step once more.
    ///
    /// # Errors
    ///
    /// As [`Trainer::step`].
    pub fn step(&mut self) -> Result<(), TrainError> {
        self.trainer.update(self.batch.clone(), 0.5).map(drop)
    }
}
