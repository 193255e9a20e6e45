//! The training loop of the embedded backbone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use dfdx::shapes::HasShape;
use dfdx::tensor::{AsArray, OwnedTape, PutTape, TensorFromVec};
use dfdx::tensor_ops::{AdamConfig, Backward, WeightDecay};
use metrics::networks::FeatureNet;
use nn::{Adam, AdamState, Cpu, FloatType, NamedTensor, Parameters, Tensor4, WeightsError, update_average};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use training::CHECKPOINT_FILE;

use crate::training::batch::{Batch, LabelledSet, augmented, epoch_order, plain};
use crate::training::loss::cross_entropy;

/// The key of the counters in the checkpoint's table of text.
const HEADER: &str = "backbone-training";
const TEST_BATCH: usize = 100;

/// The settings of a training, kept in its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Passes over the training images.
    pub epochs: u64,
    /// Train for this many minutes altogether instead, tests not counted.
    #[serde(default)]
    pub minutes: Option<f64>,
    /// Images in a batch.
    pub batch: usize,
    /// Learning rate after the warm-up; it falls along a cosine to zero.
    pub learning_rate: f64,
    /// Decoupled weight decay (Loshchilov and Hutter 2019): each step takes off `learning_rate * weight_decay` of a
    /// weight.
    pub weight_decay: f64,
    /// Label smoothing, see [`cross_entropy`].
    pub smoothing: f32,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
    /// Steps over which the learning rate rises from zero.
    pub warmup_steps: u64,
    /// Seed of the first weights and of every batch.
    pub seed: u64,
}

/// How far a training is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// The settings it was started with.
    pub settings: Settings,
    /// Optimiser steps made.
    pub step: u64,
    /// Seconds of training, over all runs, tests not counted.
    pub seconds: f64,
    /// What tells the images it is trained on from others; none in checkpoints of before it was kept.
    #[serde(default)]
    pub data: Option<String>,
    adam_step: i32,
}

/// A network in training, its moving average and its optimiser.
#[derive(Debug)]
pub struct Trainer {
    counters: Counters,
    network: FeatureNet<Cpu>,
    average: FeatureNet<Cpu>,
    adam: Adam<Cpu>,
    /// The order of the images in the running epoch.
    order: (u64, Vec<usize>),
}

fn device_error(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("the device failed: {error}")
}

fn fresh(seed: u64) -> FeatureNet<Cpu> {
    let mut rng = StdRng::seed_from_u64(seed);
    FeatureNet::new(&Cpu::default(), &mut |bound| rng.random_range(-bound..=bound))
}

fn adam(settings: &Settings) -> Adam<Cpu> {
    Adam::new(AdamConfig {
        lr: 0.0,
        betas: [0.9, 0.99],
        eps: 1e-8,
        weight_decay: Some(WeightDecay::Decoupled(settings.weight_decay)),
    })
}

fn to_tensor(batch: &Batch, size: usize) -> anyhow::Result<Tensor4<Cpu>> {
    let shape = (batch.labels.len(), 3, size, size);
    Cpu::default()
        .try_tensor_from_vec(batch.pixels.clone(), shape)
        .map_err(device_error)
}

impl Trainer {
    /// A training from scratch.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        kernels::memory::keep_freed_memory();
        let (network, average) = (fresh(settings.seed), fresh(settings.seed));
        let counters = Counters {
            settings,
            step: 0,
            seconds: 0.0,
            data: None,
            adam_step: 0,
        };
        Self {
            counters,
            network,
            average,
            adam: adam(&settings),
            order: (0, Vec::new()),
        }
    }

    /// Changes how long it goes on: so many passes over the images altogether, or so many minutes.
    pub fn set_length(&mut self, epochs: u64, minutes: Option<f64>) {
        let settings = &mut self.counters.settings;
        (settings.epochs, settings.minutes) = (epochs, minutes);
    }

    /// Keeps in the checkpoint what images it is trained on, see [`training::fingerprint`].
    pub fn remember(&mut self, data: String) {
        self.counters.data = Some(data);
    }

    /// How far it is.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The number of learned values.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.network.count()
    }

    /// The part of the training that is over, from 0 to 1.
    #[must_use]
    pub fn fraction(&self, set: &LabelledSet) -> f64 {
        let Counters {
            settings,
            step,
            seconds,
            ..
        } = &self.counters;
        match settings.minutes {
            Some(minutes) => seconds / (60.0 * minutes),
            None => *step as f64 / (self.steps_per_epoch(set) * settings.epochs).max(1) as f64,
        }
    }

    /// Optimiser steps in one epoch: the last images that do not fill a batch are left out.
    #[must_use]
    pub fn steps_per_epoch(&self, set: &LabelledSet) -> u64 {
        (set.images.count / self.counters.settings.batch) as u64
    }

    /// One optimiser step; returns the loss of its batch.
    ///
    /// # Errors
    ///
    /// Fewer images than a batch has; a loss that is no number; what the device reports.
    pub fn step(&mut self, set: &LabelledSet) -> anyhow::Result<f64> {
        let start = Instant::now();
        let (settings, step) = (self.counters.settings, self.counters.step);
        let per_epoch = self.steps_per_epoch(set);
        anyhow::ensure!(
            per_epoch > 0,
            "{} images are less than one batch of {}",
            set.images.count,
            settings.batch
        );
        if self.order.1.is_empty() || self.order.0 != step / per_epoch {
            self.order = (
                step / per_epoch,
                epoch_order(set.images.count, settings.seed, step / per_epoch),
            );
        }
        let first = (step % per_epoch) as usize * settings.batch;
        let batch = augmented(set, &self.order.1[first..first + settings.batch], settings.seed, step);
        let fraction = self.fraction(set).min(1.0);
        let loss = self.update(&batch, set.images.size, fraction)?;
        self.counters.seconds += start.elapsed().as_secs_f64();
        Ok(loss)
    }

    /// Loss, gradients, Adam and moving average for one batch; `fraction` of the training is over.
    fn update(&mut self, batch: &Batch, size: usize, fraction: f64) -> anyhow::Result<f64> {
        let settings = self.counters.settings;
        let x = to_tensor(batch, size)?.put_tape(OwnedTape::<f32, Cpu>::default());
        let scores = self.network.class_scores(x).map_err(device_error)?;
        let loss = cross_entropy(scores, &batch.labels, settings.smoothing).map_err(device_error)?;
        let value = f64::from(loss.array());
        anyhow::ensure!(
            value.is_finite(),
            "the loss at step {} is {value}: the training has diverged; start again with a smaller --learning-rate",
            self.counters.step
        );
        let mut gradients = loss.try_backward().map_err(device_error)?;
        let warmup = ((self.counters.step + 1) as f64 / settings.warmup_steps.max(1) as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * fraction).cos());
        self.adam.config.lr = settings.learning_rate * warmup * cosine;
        self.adam
            .update(&mut self.network, &mut gradients, 1.0)
            .map_err(device_error)?;
        self.counters.step += 1;
        // Early on the average must forget the random first weights quickly.
        let steps = self.counters.step as f64;
        let decay = settings.average_decay.min((1.0 + steps) / (10.0 + steps));
        update_average(&mut self.average, &self.network, decay).map_err(device_error)?;
        Ok(value)
    }

    /// The fraction of the images of `set` whose class the averaged network finds.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn accuracy(&self, set: &LabelledSet) -> anyhow::Result<f64> {
        accuracy(&self.average, set)
    }

    /// Writes the averaged network as 16-bit floats, whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_weights(&self, path: &Path) -> Result<(), WeightsError> {
        nn::save_weights(path, &self.average, FloatType::F16)
    }

    /// Writes everything that is needed to go on into `folder`, whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&mut self, folder: &Path) -> anyhow::Result<()> {
        let state = self.adam.state(&self.network).map_err(device_error)?;
        let mut tensors = state.moments;
        for (kind, network) in [("network", &self.network), ("average", &self.average)] {
            network.visit("", &mut |name, parameter| {
                tensors.push(NamedTensor {
                    name: format!("{kind}.{name}"),
                    shape: parameter.shape().to_vec(),
                    values: parameter.to_vec(),
                });
            });
        }
        let counters = Counters {
            adam_step: state.step,
            ..self.counters.clone()
        };
        let header = BTreeMap::from([(HEADER.to_string(), serde_json::to_string(&counters)?)]);
        Ok(nn::save_tensors(
            &folder.join(CHECKPOINT_FILE),
            &tensors,
            FloatType::F32,
            &header,
        )?)
    }

    /// A training that goes on from the checkpoint in `folder`, with the settings that it was started with.
    ///
    /// # Errors
    ///
    /// If there is none, or it is damaged.
    pub fn resume(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(CHECKPOINT_FILE);
        let header = nn::read_metadata(&path)?.remove(HEADER);
        let header = header.ok_or_else(|| anyhow::anyhow!("{} is no checkpoint of this trainer", path.display()))?;
        let counters: Counters = serde_json::from_str(&header)?;
        let mut trainer = Self::new(counters.settings);
        let mut tensors = nn::read_weights(&path)?;
        for (kind, network) in [("network.", &mut trainer.network), ("average.", &mut trainer.average)] {
            let (mine, others): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|t| t.name.starts_with(kind));
            let mine: Vec<_> = mine
                .into_iter()
                .map(|t| NamedTensor {
                    name: t.name[kind.len()..].into(),
                    ..t
                })
                .collect();
            nn::load_weights(network, &mine)?;
            tensors = others;
        }
        trainer.adam.restore(
            &trainer.network,
            &AdamState {
                step: counters.adam_step,
                moments: tensors,
            },
        )?;
        trainer.counters = counters;
        Ok(trainer)
    }
}

/// The fraction of the images of `set` whose class `network` finds.
pub(super) fn accuracy(network: &FeatureNet<Cpu>, set: &LabelledSet) -> anyhow::Result<f64> {
    let indices: Vec<usize> = (0..set.images.count).collect();
    let mut right = 0;
    for indices in indices.chunks(TEST_BATCH) {
        let batch = plain(set, indices);
        let scores = network
            .class_scores(to_tensor(&batch, set.images.size)?)
            .map_err(device_error)?;
        let &(_, classes, height, width) = scores.shape();
        let values = scores.as_vec();
        for (image, label) in values.chunks_exact(classes * height * width).zip(&batch.labels) {
            let pooled: Vec<f32> = image.chunks_exact(height * width).map(|s| s.iter().sum()).collect();
            right += usize::from((0..classes).max_by(|&a, &b| pooled[a].total_cmp(&pooled[b])) == Some(*label));
        }
    }
    Ok(right as f64 / set.images.count as f64)
}
