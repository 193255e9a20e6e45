//! The architecture and the sizes of a score network: `config.json` beside its weights.

mod guided;
mod small;

use std::path::{Path, PathBuf};

use diffusion::Schedule;
use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use guided::{GuidedConfig, Heads, NoiseSchedule, Resampling, TimeInBlocks, WaveOrder, Waves};
pub use small::SmallConfig;

/// The sizes of a [`UNet`](crate::unet::UNet) and the noise schedule it was trained for; `config.json` beside the
/// weights. Its `"architecture"` is `small` (or not there) or `guided`; what else stands there depends on that.
#[derive(Debug, Clone, PartialEq)]
pub enum UNetConfig {
    /// The network of `fruits64`.
    Small(SmallConfig),
    /// The network of guided-diffusion and of diffusers' DDPM.
    Guided(GuidedConfig),
}

impl From<SmallConfig> for UNetConfig {
    fn from(config: SmallConfig) -> Self {
        Self::Small(config)
    }
}

impl From<GuidedConfig> for UNetConfig {
    fn from(config: GuidedConfig) -> Self {
        Self::Guided(config)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not the expected JSON.
    #[error("{path} is not a network configuration: {source}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The numbers do not describe a network.
    #[error("the network configuration cannot be built: {0}")]
    Invalid(String),
}

/// Refuses a configuration, and says what it lacks.
fn require(holds: bool, what: String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Invalid(what)) }
}

impl UNetConfig {
    /// The network of the `fruits64` prior: 64x64 RGB, 4.0 million parameters.
    #[must_use]
    pub fn fruits64() -> Self {
        SmallConfig::fruits64().into()
    }

    /// Reads and validates a `config.json`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no such JSON, or describes an impossible network.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let config: Self = serde_json::from_str(&text).map_err(|source| ConfigError::Format {
            path: path.into(),
            source,
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    ///
    /// Which number is wrong, and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Small(config) => config.validate(),
            Self::Guided(config) => config.validate(),
        }
    }

    /// Channels of the image, 3 for RGB.
    #[must_use]
    pub fn image_channels(&self) -> usize {
        match self {
            Self::Small(config) => config.image_channels,
            Self::Guided(config) => config.image_channels,
        }
    }

    /// Height and width of the image in pixels.
    #[must_use]
    pub fn image_size(&self) -> usize {
        match self {
            Self::Small(config) => config.image_size,
            Self::Guided(config) => config.image_size,
        }
    }

    /// The same network for images of another size.
    #[must_use]
    pub fn with_image_size(self, image_size: usize) -> Self {
        match self {
            Self::Small(config) => SmallConfig { image_size, ..config }.into(),
            Self::Guided(config) => GuidedConfig { image_size, ..config }.into(),
        }
    }

    /// The shape of an image, `[C, H, W]`.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        [self.image_channels(), self.image_size(), self.image_size()]
    }

    /// Values in one feature map of the finest level, in which most of the memory goes.
    #[must_use]
    pub fn finest_map_len(&self) -> usize {
        let (channels, side) = match self {
            Self::Small(config) => (config.base_channels, config.image_size / config.patch.max(1)),
            Self::Guided(config) => (config.level_channels[0], config.image_size),
        };
        channels * side * side
    }

    /// Number of diffusion steps T.
    #[must_use]
    pub fn diffusion_steps(&self) -> usize {
        match self {
            Self::Small(config) => config.diffusion_steps,
            Self::Guided(config) => config.diffusion_steps,
        }
    }

    /// The noise schedule that the network was trained for.
    ///
    /// # Errors
    ///
    /// If the numbers make no schedule.
    pub fn schedule(&self) -> Result<Schedule, ConfigError> {
        match self {
            Self::Small(config) => config.schedule(),
            Self::Guided(config) => config.schedule(),
        }
    }
}

const ARCHITECTURE: &str = "architecture";
const SMALL: &str = "small";
const GUIDED: &str = "guided";

impl Serialize for UNetConfig {
    /// The small network's has no `"architecture"`, as those of before there was another.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Small(config) => config.serialize(serializer),
            Self::Guided(config) => {
                let mut fields = Map::from_iter([(ARCHITECTURE.to_string(), GUIDED.into())]);
                match serde_json::to_value(config).map_err(S::Error::custom)? {
                    Value::Object(sizes) => fields.extend(sizes),
                    other => return Err(S::Error::custom(format!("{other} is no table"))),
                }
                fields.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for UNetConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let architecture = fields.remove(ARCHITECTURE).unwrap_or_else(|| SMALL.into());
        let sizes = Value::Object(fields);
        match architecture.as_str() {
            Some(SMALL) => SmallConfig::deserialize(sizes).map(Self::Small),
            Some(GUIDED) => GuidedConfig::deserialize(sizes).map(Self::Guided),
            _ => {
                return Err(D::Error::custom(format!(
                    "architecture {architecture} is unknown, expected \"{SMALL}\" or \"{GUIDED}\""
                )));
            }
        }
        .map_err(D::Error::custom)
    }
}
