//! A network as a prior holds it: whatever it runs on.

use diffusion::ScoreModel;
use nn::{Backend, DeviceExt, Parameters};

use crate::config::UNetConfig;
use crate::unet::UNet;

/// What can be said of a network without running it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub config: UNetConfig,
    /// The number of learned values.
    pub parameters: usize,
    /// The device in words, as they follow "on".
    pub device: String,
    pub on_gpu: bool,
}

impl Facts {
    pub fn of<B: Backend>(network: &UNet<B>) -> Self {
        Self {
            config: network.config().clone(),
            parameters: network.count(),
            device: network.backend().device().describe(),
            on_gpu: B::Device::IS_GPU,
        }
    }
}

/// A score model that is a network.
pub(crate) trait Network: ScoreModel + std::fmt::Debug {
    fn facts(&self) -> Facts;
}

impl<B: Backend> Network for UNet<B> {
    fn facts(&self) -> Facts {
        Facts::of(self)
    }
}
