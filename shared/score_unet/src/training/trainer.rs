//! The training loop.

use std::path::Path;
use std::time::Instant;

use dfdx::tensor_ops::{AdamConfig, Backward};
use diffusion::Schedule;
use imaging::PixelSet;
use ndarray::Array4;
use nn::{Adam, Backend, FloatType, update_average};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use super::{TrainingBatch, draw_batch, validation_loss};
use crate::score::{device_error, to_tensor};
use crate::{UNet, UNetConfig};

/// The settings of a training.
#[derive(Debug, Clone)]
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
    /// Largest relative change of each colour channel of a training image, 0 for none.
    pub colour_jitter: f32,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            batch: 32,
            learning_rate: 1e-3,
            warmup_steps: 300,
            average_decay: 0.999,
            max_gradient_norm: 1.0,
            colour_jitter: 0.0,
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
pub struct Trainer<D: Backend> {
    config: TrainerConfig,
    schedule: Schedule,
    counters: Checkpoint,
    network: UNet<D>,
    average: UNet<D>,
    adam: Adam<D>,
}

/// The weight of an image at time `t` in the loss: `1 / sqrt(alpha_bar_t)`, half way (geometrically) between that of DDPM,
/// 1, which hardly counts the times at which shape and colour are decided, and that of `v`, `1 / alpha_bar_t`, which
/// hardly counts the times at which details are.
fn loss_weight(schedule: &Schedule, t: usize) -> f32 {
    (1.0 / schedule.alpha_bar(t).sqrt()) as f32
}

/// Adam with betas 0.9 and 0.99: a second moment that forgets faster suits short trainings.
fn adam<D: Backend>() -> Adam<D> {
    Adam::new(AdamConfig {
        lr: 0.0,
        betas: [0.9, 0.99],
        eps: 1e-8,
        weight_decay: None,
    })
}

impl<D: Backend> Trainer<D> {
    /// A training from scratch on `backend`; `seed` decides the first weights and every batch.
    ///
    /// # Errors
    /// If the network's configuration is invalid.
    pub fn new(backend: &D, network: &UNetConfig, config: TrainerConfig, seed: u64) -> anyhow::Result<Self> {
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
    /// If there is none, or it is damaged.
    pub fn resume(backend: &D, folder: &Path, config: TrainerConfig) -> anyhow::Result<Self> {
        kernels::memory::keep_freed_memory();
        let mut adam = adam();
        let build = |config: &UNetConfig| UNet::new(config, backend, &mut crate::unet::ZeroRng);
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
    /// If the weights do not fit the configuration.
    pub fn from_weights(
        backend: &D,
        network: &UNetConfig,
        weights: &Path,
        config: TrainerConfig,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut trainer = Self::new(backend, network, config, seed)?;
        nn::load_weights(&mut trainer.network, &nn::read_weights(weights)?)?;
        trainer.average = trainer.network.duplicate()?;
        Ok(trainer)
    }

    /// Steps, images and seconds so far.
    pub fn counters(&self) -> &Checkpoint {
        &self.counters
    }

    /// The moving average of the weights: the network that is used afterwards.
    pub fn average(&self) -> &UNet<D> {
        &self.average
    }

    /// One optimiser step. `fraction`, in `0..=1`, is how much of the training is over; the learning rate follows it.
    ///
    /// # Errors
    /// What the device reports; a loss that is no number.
    pub fn step(&mut self, images: &PixelSet, fraction: f64) -> anyhow::Result<Progress> {
        let start = Instant::now();
        let counters = &self.counters;
        let jitter = self.config.colour_jitter;
        let batch = draw_batch(
            images,
            &self.schedule,
            self.config.batch,
            jitter,
            counters.seed,
            counters.step,
        )?;
        let progress = self.update(batch, fraction)?;
        self.counters.seconds += start.elapsed().as_secs_f64();
        Ok(progress)
    }

    /// Loss, gradients, Adam and moving average for one batch.
    fn update(&mut self, batch: TrainingBatch, fraction: f64) -> anyhow::Result<Progress> {
        let on_device = |x| to_tensor(self.network.device(), x);
        let images = batch.t.len() as u64;
        let (x_t, eps) = (on_device(&batch.x_t)?, on_device(&batch.eps)?);
        let predicted = self
            .network
            .forward_training(x_t, &batch.t)
            .map_err(device_error::<D>)?;
        let weights: Vec<f32> = batch.t.iter().map(|&t| loss_weight(&self.schedule, t)).collect();
        let loss = D::mean_squared_error(predicted, &eps, &weights).map_err(device_error::<D>)?;
        let loss_value = f64::from(loss.as_vec()[0]);
        anyhow::ensure!(
            loss_value.is_finite(),
            "the loss at step {} is {loss_value}: the training has diverged; resume from the last checkpoint with a \
             smaller --learning-rate",
            self.counters.step
        );
        let mut gradients = loss.try_backward().map_err(device_error::<D>)?;

        self.adam.config.lr = self.learning_rate(fraction);
        let max_norm = self.config.max_gradient_norm;
        let gradient_norm = self
            .adam
            .update(&mut self.network, &mut gradients, max_norm)
            .map_err(device_error::<D>)?;
        self.counters.step += 1;
        self.counters.images_seen += images;
        let decay = self.average_decay();
        update_average(&mut self.average, &self.network, decay).map_err(device_error::<D>)?;
        Ok(Progress {
            step: self.counters.step,
            loss: loss_value,
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
    /// If it cannot be written.
    pub fn save(&mut self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(CHECKPOINT_FILE);
        Ok(self
            .counters
            .save(&path, &self.network, &self.average, &mut self.adam)?)
    }

    /// Measures the averaged network on `images`; where that is the best so far, writes it into `folder` as
    /// `weights.safetensors` (f16) and `config.json`. Returns the loss and whether it was the best.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn validate(&mut self, images: &PixelSet, folder: &Path) -> anyhow::Result<(f64, bool)> {
        let loss = validation_loss(&self.average, images)?;
        let improved = self.counters.best.is_none_or(|(best, _)| loss < best);
        if improved {
            self.counters.best = Some((loss, self.counters.step));
            nn::save_weights(&folder.join("weights.safetensors"), &self.average, FloatType::F16)?;
            let json = serde_json::to_string_pretty(&self.counters.config)?;
            let path = folder.join("config.json");
            std::fs::write(&path, json + "\n").map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
        }
        Ok((loss, improved))
    }
}

/// One training step on a fixed batch, for timing.
#[derive(Debug)]
pub struct TrainingStepBench<D: Backend> {
    trainer: Trainer<D>,
    batch: TrainingBatch,
}

impl<D: Backend> TrainingStepBench<D> {
    /// Starts from the weights of the prior in `folder`, with noisy images `x_t` and noise `eps` of one shape
    /// `[B, C, H, W]`.
    ///
    /// # Errors
    /// If there is no prior in the folder.
    pub fn new(backend: &D, folder: &Path, x_t: Array4<f32>, eps: Array4<f32>) -> anyhow::Result<Self> {
        let network = UNet::load(folder, backend)?;
        let mut trainer = Trainer::new(backend, network.config(), TrainerConfig::default(), 0)?;
        trainer.network = network;
        let t = vec![500; x_t.dim().0];
        Ok(Self {
            trainer,
            batch: TrainingBatch { x_t, t, eps },
        })
    }

    /// Runs the step once more.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step(&mut self) -> anyhow::Result<()> {
        self.trainer.update(self.batch.clone(), 0.5).map(drop)
    }
}
