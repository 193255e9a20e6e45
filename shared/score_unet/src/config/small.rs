//! The sizes of the small network.

use diffusion::Schedule;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, require};

/// The sizes of the small network and the noise schedule it was trained for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallConfig {
    /// Channels of the image, 3 for RGB.
    pub image_channels: usize,
    /// Height and width of the image in pixels.
    pub image_size: usize,
    /// Side of the pixel blocks that become channels before the first convolution.
    pub patch: usize,
    /// Channels at the finest level.
    pub base_channels: usize,
    /// Channels at each level as multiples of `base_channels`; each level halves height and width.
    pub channel_multipliers: Vec<usize>,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Heads of the attention at the coarsest level.
    pub attention_heads: usize,
    /// Number of diffusion steps T of the linear schedule (beta from 1e-4 to 0.02).
    pub diffusion_steps: usize,
}

impl SmallConfig {
    /// The network of the `fruits64` prior: 64x64 RGB, 4.0 million parameters.
    #[must_use]
    pub fn fruits64() -> Self {
        Self {
            image_channels: 3,
            image_size: 64,
            patch: 2,
            base_channels: 48,
            channel_multipliers: vec![1, 2, 3],
            norm_groups: 8,
            attention_heads: 4,
            diffusion_steps: 1000,
        }
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    ///
    /// Which number is wrong, and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let levels = self.channel_multipliers.len();
        require(
            (1..=8).contains(&levels),
            format!("channel_multipliers must name 1 to 8 levels, has {levels}"),
        )?;
        for (name, value, most) in [
            ("image_channels", self.image_channels, 64),
            ("image_size", self.image_size, 4096),
            ("patch", self.patch, 64),
            ("base_channels", self.base_channels, 4096),
            ("norm_groups", self.norm_groups, 4096),
            ("attention_heads", self.attention_heads, 4096),
            ("diffusion_steps", self.diffusion_steps, 1_000_000),
        ] {
            require(
                (1..=most).contains(&value),
                format!("{name} must be from 1 to {most}, is {value}"),
            )?;
        }
        require(
            self.channel_multipliers.iter().all(|m| (1..=64).contains(m)),
            format!(
                "channel_multipliers must be from 1 to 64, are {:?}",
                self.channel_multipliers
            ),
        )?;
        let block = self.patch << (levels - 1);
        require(
            self.image_size.is_multiple_of(block),
            format!(
                "image_size {} must be a multiple of patch x 2^(levels - 1) = {block}",
                self.image_size
            ),
        )?;
        require(
            self.base_channels.is_multiple_of(2),
            format!("base_channels {} must be even", self.base_channels),
        )?;
        require(
            self.base_channels.is_multiple_of(self.norm_groups),
            format!(
                "base_channels {} must be a multiple of norm_groups {}",
                self.base_channels, self.norm_groups
            ),
        )?;
        require(
            self.channels(levels - 1).is_multiple_of(self.attention_heads),
            format!(
                "the coarsest level has {} channels, which attention_heads {} does not divide",
                self.channels(levels - 1),
                self.attention_heads
            ),
        )
    }

    /// Channels at `level`, 0 being the finest.
    #[must_use]
    pub fn channels(&self, level: usize) -> usize {
        self.base_channels * self.channel_multipliers[level]
    }

    /// The noise schedule that the network was trained for.
    ///
    /// # Errors
    ///
    /// If `diffusion_steps` makes no schedule.
    pub fn schedule(&self) -> Result<Schedule, ConfigError> {
        Schedule::linear_with(self.diffusion_steps, 1e-4, 0.02).map_err(|error| ConfigError::Invalid(error.to_string()))
    }
}
