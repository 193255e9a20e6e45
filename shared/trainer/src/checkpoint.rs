//! Everything that a training needs to go on: weights, moving average, optimiser, counters.

use std::collections::BTreeMap;
use std::path::Path;

use nn::{Adam, AdamState, Backend, DeviceExt, FloatType, NamedTensor, Parameters, WeightsError};
use score_unet::unet::UNet;
use score_unet::{ConfigError, UNetConfig};
use serde::{Deserialize, Serialize};

use crate::length::Length;
use crate::trainer::TrainerConfig;

/// The counters of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The network's sizes.
    pub config: UNetConfig,
    /// Optimiser steps made.
    pub step: u64,
    /// Images seen, repetitions counted.
    pub images_seen: u64,
    /// Seconds of training, over all runs.
    pub seconds: f64,
    /// Seed of the batches.
    pub seed: u64,
    /// How it was trained last. None, as the next two, in checkpoints of before they were kept.
    #[serde(default)]
    pub settings: Option<TrainerConfig>,
    /// How long it is to be trained.
    #[serde(default)]
    pub length: Option<Length>,
    /// What tells the images it is trained on from others.
    #[serde(default)]
    pub data: Option<String>,
    /// The lowest validation loss so far, on the images that decide, and the step it was measured at.
    pub best: Option<(f64, u64)>,
    /// Updates that Adam made.
    adam_step: i32,
}

/// Why a checkpoint was not read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is missing, damaged or does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file is no checkpoint of this trainer.
    #[error("{0} is no checkpoint of this trainer: {1}")]
    Header(String, String),
}

/// The key of the counters in the file's table of text.
const HEADER: &str = "training";

impl Checkpoint {
    /// The counters at the start.
    #[must_use]
    pub fn start(config: &UNetConfig, seed: u64) -> Self {
        Self {
            config: config.clone(),
            step: 0,
            images_seen: 0,
            seconds: 0.0,
            seed,
            settings: None,
            length: None,
            data: None,
            best: None,
            adam_step: 0,
        }
    }

    /// Writes all of it, whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; an older checkpoint is untouched then.
    pub fn save<B: Backend>(
        &self,
        path: &Path,
        network: &UNet<B>,
        average: &UNet<B>,
        adam: &mut Adam<B>,
    ) -> Result<(), WeightsError> {
        let state = adam
            .state(network)
            .map_err(|error| WeightsError::Device(B::Device::explain(&error)))?;
        let mut tensors = state.moments;
        for (kind, unet) in [("network", network), ("average", average)] {
            unet.visit("", &mut |name, parameter| {
                let (shape, values) = (parameter.shape().to_vec(), parameter.to_vec());
                tensors.push(NamedTensor {
                    name: format!("{kind}.{name}"),
                    shape,
                    values,
                });
            });
        }
        let counters = Self {
            adam_step: state.step,
            ..self.clone()
        };
        let header = serde_json::to_string(&counters).map_err(|error| WeightsError::Write {
            path: path.into(),
            reason: error.to_string(),
        })?;
        nn::save_tensors(
            path,
            &tensors,
            FloatType::F32,
            &BTreeMap::from([(HEADER.into(), header)]),
        )
    }

    /// Reads the counters alone.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn read_counters(path: &Path) -> Result<Self, CheckpointError> {
        let header_error = |reason: String| CheckpointError::Header(path.display().to_string(), reason);
        let text = nn::read_metadata(path)?
            .remove(HEADER)
            .ok_or_else(|| header_error("the file holds no training counters".into()))?;
        serde_json::from_str(&text).map_err(|error| header_error(error.to_string()))
    }

    /// Reads the counters, and the tensors into the network, its average and the optimiser that `build` makes for the
    /// configuration found.
    ///
    /// # Errors
    ///
    /// If the file is missing, damaged, or not a checkpoint.
    pub fn load<B: Backend>(
        path: &Path,
        build: impl Fn(&UNetConfig) -> Result<UNet<B>, ConfigError>,
        adam: &mut Adam<B>,
    ) -> Result<(Self, UNet<B>, UNet<B>), CheckpointError> {
        let header_error = |reason: String| CheckpointError::Header(path.display().to_string(), reason);
        let counters = Self::read_counters(path)?;
        let tensors = nn::read_weights(path)?;
        let part = |kind: &str| -> Vec<NamedTensor> {
            let prefix = format!("{kind}.");
            let named = |tensor: &NamedTensor| {
                let name = tensor.name.strip_prefix(&prefix)?.to_string();
                Some(NamedTensor { name, ..tensor.clone() })
            };
            tensors.iter().filter_map(named).collect()
        };
        let new_network = || build(&counters.config).map_err(|error| header_error(error.to_string()));
        let (mut network, mut average) = (new_network()?, new_network()?);
        nn::load_weights(&mut network, &part("network"))?;
        nn::load_weights(&mut average, &part("average"))?;
        let is_moment = |tensor: &&NamedTensor| tensor.name.contains("_moment.");
        let moments = tensors.iter().filter(is_moment).cloned().collect();
        adam.restore(
            &network,
            &AdamState {
                step: counters.adam_step,
                moments,
            },
        )?;
        Ok((counters, network, average))
    }
}
