//! A trained network from a folder, as a score model.

use std::path::{Path, PathBuf};

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use nn::{Backend, Cpu, Device, DeviceError, Parameters, WeightsError};

use crate::config::{ConfigError, UNetConfig};
use crate::network::{Facts, Network};
use crate::unet::UNet;

/// A trained score network, on whatever device it was loaded onto.
#[derive(Debug)]
pub struct Prior {
    name: String,
    facts: Facts,
    network: Box<dyn Network + Send + Sync>,
}

/// The name that a prior in this folder has: that of the folder.
#[must_use]
pub fn folder_name(folder: &Path) -> String {
    folder
        .file_name()
        .map_or_else(|| "prior".into(), |name| name.to_string_lossy().into_owned())
}

/// Why a prior cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// The folder is not there.
    #[error(
        "there is no prior at {path}: expected a folder with config.json and weights.safetensors",
        path = .0.display()
    )]
    NotFound(PathBuf),
    /// A folder without the files of a prior.
    #[error(
        "{path} is no prior: it lacks {lacks}; a prior is a folder with config.json (the network's sizes) and \
         weights.safetensors, as the trainer writes it",
        path = path.display()
    )]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// The file that is not there.
        lacks: &'static str,
    },
    /// The folder of a training that has not got that far.
    #[error(
        "the training in {path} has written no weights yet: its first validation does (--validate-every says after \
         how many steps); wait for it, or go on with the training if it was stopped",
        path = .0.display()
    )]
    InTraining(PathBuf),
    /// The configuration is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights are missing, damaged, or belong to another configuration.
    #[error("the weights in {path} do not fit: {source}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WeightsError,
    },
    /// The GPU cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The thread that a GPU's network lives on cannot be started, or has panicked.
    #[error("the network cannot be made: {0}")]
    Thread(#[from] std::io::Error),
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "weights.safetensors";
/// What the trainer writes before it writes a prior.
const IN_TRAINING: [&str; 2] = ["checkpoint.ckpt", "log.csv"];

impl UNetConfig {
    /// Reads the `config.json` of the prior in a folder, once it is sure that there is one.
    ///
    /// # Errors
    ///
    /// A missing folder or file, an impossible configuration: see [`PriorError`].
    pub fn of_prior(folder: &Path) -> Result<Self, PriorError> {
        if !folder.is_dir() {
            return Err(PriorError::NotFound(folder.into()));
        }
        if let Some(lacks) = [CONFIG, WEIGHTS].into_iter().find(|name| !folder.join(name).exists()) {
            let path = folder.to_path_buf();
            let in_training = IN_TRAINING.iter().any(|name| folder.join(name).exists());
            return Err(if in_training {
                PriorError::InTraining(path)
            } else {
                PriorError::Incomplete { path, lacks }
            });
        }
        Ok(Self::read(&folder.join(CONFIG))?)
    }
}

impl<B: Backend> UNet<B> {
    /// Reads `config.json` and `weights.safetensors` from a folder onto a backend.
    ///
    /// # Errors
    ///
    /// A missing folder or file, an impossible configuration, weights that do not fit it: see [`PriorError`].
    pub fn load(folder: &Path, backend: &B) -> Result<Self, PriorError> {
        let config = UNetConfig::of_prior(folder)?;
        let path = folder.join(WEIGHTS);
        let mut network = Self::blank(&config, backend)?;
        nn::read_weights_into(&path, &mut network).map_err(|source| PriorError::Weights { path, source })?;
        Ok(network)
    }

    /// The network as a prior of that name; its parameters are frozen.
    #[must_use]
    pub fn into_prior(mut self, name: impl Into<String>) -> Prior
    where
        Self: Send + Sync,
    {
        kernels::memory::keep_freed_memory();
        self.freeze();
        Prior::of(name.into(), self)
    }
}

impl Prior {
    /// Reads `config.json` and `weights.safetensors` from a folder, for the CPU; the folder's name becomes the prior's.
    ///
    /// # Errors
    ///
    /// A missing folder or file, an impossible configuration, weights that do not fit it: see [`PriorError`].
    pub fn load(folder: &Path) -> Result<Self, PriorError> {
        Self::load_on(folder, &Device::Cpu(Cpu::default()))
    }

    /// The same for any device, such as [`DeviceChoice::open`](crate::DeviceChoice::open) gives.
    ///
    /// # Errors
    ///
    /// As [`Prior::load`]; a GPU that cannot be used.
    pub fn load_on(folder: &Path, device: &Device) -> Result<Self, PriorError> {
        let name = folder_name(folder);
        match device {
            Device::Cpu(cpu) => Ok(UNet::load(folder, cpu)?.into_prior(name)),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => Self::load_on_gpu(name, folder.into(), gpu),
        }
    }

    #[cfg(feature = "cuda")]
    fn load_on_gpu(name: String, folder: PathBuf, gpu: &nn::OpenedGpu) -> Result<Self, PriorError> {
        let network = crate::own_thread::OnOwnThread::on_gpu(gpu, move |gpu| {
            let mut network = UNet::load(&folder, gpu)?;
            network.freeze();
            Ok::<_, PriorError>(network)
        })?;
        Ok(Self::of(name, network))
    }

    /// A prior made of a network at hand, whose parameters are frozen.
    fn of(name: String, network: impl Network + Send + Sync + 'static) -> Self {
        let facts = network.facts();
        Self {
            name,
            facts,
            network: Box::new(network),
        }
    }

    /// The name of its folder, such as `fruits64`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sizes of its network.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.facts.config
    }

    /// The number of values that its network has learned.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.facts.parameters
    }

    /// Whether its network runs on a GPU. Results there differ from the CPU's by rounding.
    #[must_use]
    pub fn is_on_gpu(&self) -> bool {
        self.facts.on_gpu
    }

    /// One line for people: name, image size, parameters, device.
    #[must_use]
    pub fn describe(&self) -> String {
        let config = self.config();
        format!(
            "{}: {size}x{size}x{} images, {:.1} million parameters, on {}",
            self.name,
            config.image_channels(),
            self.facts.parameters as f64 / 1e6,
            self.facts.device,
            size = config.image_size(),
        )
    }
}

impl ScoreModel for Prior {
    fn image_shape(&self) -> [usize; 3] {
        self.network.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.network.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.network.score(x_t, t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.network.score_with_pullback(x_t, t)
    }
}
