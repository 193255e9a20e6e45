//! What a training begins with: random weights, those of a prior, or a checkpoint. All of it is read and checked before
//! any image is.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use nn::Backend;
use program::{data_folder, find_prior};
use score_unet::{GuidedConfig, UNetConfig};
use trainer::{Checkpoint, Length, Trainer, TrainerConfig};
use training::{Begin, CHECKPOINT_FILE, differences, require_same};

use crate::options::{Architecture, Options};

/// What a training begins with.
pub enum Start {
    Random(UNetConfig),
    /// The weights file of a prior of that configuration.
    Weights(UNetConfig, PathBuf),
    Checkpoint(Box<Checkpoint>),
}

impl Start {
    /// What the flags ask for.
    ///
    /// # Errors
    ///
    /// Files that cannot be read; a `--config` or `--seed` that is not that of the checkpoint or prior; a network that
    /// is not for RGB images.
    pub fn read(options: &Options) -> Result<Self> {
        let named = options.config.as_deref().map(UNetConfig::read).transpose()?;
        let start = if options.resume {
            let counters = Checkpoint::read_counters(&options.out.join(CHECKPOINT_FILE)).context("cannot resume")?;
            let seed = options.seed.unwrap_or(counters.seed);
            require_same("--seed", &counters.seed, &seed)?;
            Self::Checkpoint(Box::new(counters))
        } else if let Some(folder) = &options.init {
            let cannot = "cannot start from --init";
            let folder = &find_prior(&folder.to_string_lossy(), data_folder()).context(cannot)?;
            let network = UNetConfig::of_prior(folder).context(cannot)?;
            Self::Weights(network, folder.join("weights.safetensors"))
        } else {
            let default = match options.architecture {
                Some(Architecture::Guided) => GuidedConfig::small64().into(),
                Some(Architecture::Small) | None => UNetConfig::fruits64(),
            };
            Self::Random(named.clone().unwrap_or(default))
        };
        let network = start.network();
        require_same("--config", network, named.as_ref().unwrap_or(network))?;
        let channels = network.image_channels();
        ensure!(
            channels == 3,
            "the network is for images of {channels} channels, expected 3: images are read as RGB; set image_channels \
             to 3"
        );
        Ok(start)
    }

    pub fn begin(&self) -> Begin {
        match self {
            Self::Checkpoint(_) => Begin::GoOn,
            Self::Random(_) | Self::Weights(..) => Begin::Anew,
        }
    }

    pub fn network(&self) -> &UNetConfig {
        match self {
            Self::Random(network) | Self::Weights(network, _) => network,
            Self::Checkpoint(counters) => &counters.config,
        }
    }

    /// How long to train altogether.
    pub fn length(&self, options: &Options) -> Length {
        match self {
            Self::Checkpoint(counters) => options.length(counters.length),
            Self::Random(_) | Self::Weights(..) => options.length(None),
        }
    }

    /// Why there is nothing to do, where the training is as long as it is to be, and was ended as it should.
    pub fn nothing_to_do(&self, options: &Options) -> Option<String> {
        let Self::Checkpoint(counters) = self else {
            return None;
        };
        let length = self.length(options);
        if length.fraction(counters) < 1.0 || !options.out.join("training.json").exists() {
            return None;
        }
        let (made, asked) = match length {
            Length::Steps(steps) => (format!("{} steps", counters.step), format!("--steps {steps}")),
            Length::Minutes(minutes) => (
                format!("{:.1} minutes", counters.seconds / 60.0),
                format!("--minutes {minutes}"),
            ),
        };
        Some(format!(
            "nothing to do: {made} of training are made, and {asked} counts them in; name more to go on"
        ))
    }

    /// The network in training.
    ///
    /// # Errors
    ///
    /// Weights or a checkpoint that are damaged or do not fit.
    pub fn trainer<B: Backend>(&self, backend: &B, options: &Options) -> Result<Trainer<B>> {
        let (settings, seed) = (options.settings(TrainerConfig::default()), options.seed.unwrap_or(0));
        match self {
            Self::Random(network) => Ok(Trainer::new(backend, network, settings, seed)?),
            Self::Weights(network, weights) => Ok(Trainer::from_weights(backend, network, weights, settings, seed)?),
            Self::Checkpoint(counters) => {
                let before = counters.settings.clone().unwrap_or_default();
                let settings = options.settings(before.clone());
                for difference in differences(&before, &settings) {
                    program::print(&format!("from here on another {difference}"));
                }
                Trainer::resume(backend, &options.out, settings).context("cannot resume")
            }
        }
    }
}
