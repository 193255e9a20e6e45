//! The sizes of the network of guided-diffusion.

use diffusion::Schedule;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, require};

/// The sizes of a network of guided-diffusion and the noise schedule it was trained for. What that code base calls
/// `num_channels`, `channel_mult`, `attention_resolutions` and so on stands here as the numbers that follow from them,
/// so that diffusers' networks can be said as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidedConfig {
    /// Channels of the image, 3 for RGB.
    pub image_channels: usize,
    /// Height and width of the image in pixels.
    pub image_size: usize,
    /// Sines and cosines that a time is told by; even.
    pub base_channels: usize,
    /// Channels at each level, the finest first; each level halves height and width.
    pub level_channels: Vec<usize>,
    /// Residual blocks of a level on the way down; there is one more on the way up.
    pub blocks_per_level: usize,
    /// The levels whose blocks are followed by attention, the finest being 0. There is always attention in the middle,
    /// below the coarsest.
    pub attention_levels: Vec<usize>,
    /// Heads of the attention.
    pub heads: Heads,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// What every group normalisation adds to the variance.
    pub norm_epsilon: f64,
    /// What changes height and width between two levels.
    pub resampling: Resampling,
    /// How a residual block is told the time.
    pub time_in_blocks: TimeInBlocks,
    /// The waves by which a time is told.
    pub waves: Waves,
    /// Whether the layers see the image upside down, turned by 180 degrees, as their result is turned back. A network
    /// whose convolutions of stride 2 fill up the image at the bottom and on the right only, as diffusers' DDPM, is
    /// that network with all kernels turned: there they fill up at the top and on the left, as here.
    pub half_turn: bool,
    /// The noise schedule.
    pub schedule: NoiseSchedule,
    /// Number of diffusion steps T.
    pub diffusion_steps: usize,
}

/// The heads of every attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// So many at each level (`num_heads`).
    Number(usize),
    /// Heads of so many channels (`num_head_channels`).
    Channels(usize),
}

impl Heads {
    /// Heads for that many channels; none where they do not divide.
    #[must_use]
    pub fn of(self, channels: usize) -> Option<usize> {
        let (divisor, heads) = match self {
            Self::Number(number) => (number, number),
            Self::Channels(each) => (each, channels.checked_div(each)?),
        };
        (heads > 0 && channels.is_multiple_of(divisor)).then_some(heads)
    }
}

/// What changes height and width between two levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// Residual blocks that take means of 2x2 pixels, or repeat each pixel (`resblock_updown`).
    Blocks,
    /// A convolution of stride 2, or one behind the repeated pixels.
    Convolutions,
}

/// How a residual block is told the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInBlocks {
    /// By scale and shift of its second norm (`use_scale_shift_norm`; Dhariwal and Nichol 2021, section 3).
    Modulation,
    /// By a number added to each channel before its second norm (Ho et al. 2020, appendix B).
    Shift,
}

/// The waves by which a time is told, `cos(t f_i)` and `sin(t f_i)` with `f_i = 10000^(-i / (n - frequency_shift))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waves {
    /// Which come first.
    pub order: WaveOrder,
    /// 0: the frequencies end just above 1/10000, 1: at it.
    pub frequency_shift: f64,
}

/// Which of the waves come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveOrder {
    /// As in guided-diffusion.
    CosinesFirst,
    /// As in DDPM.
    SinesFirst,
}

impl Waves {
    /// guided-diffusion's, and those of the small network.
    pub const GUIDED: Self = Self {
        order: WaveOrder::CosinesFirst,
        frequency_shift: 0.0,
    };
}

/// A noise schedule, but for its number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSchedule {
    /// `beta_t` in equal steps (Ho et al. 2020).
    Linear {
        /// At t = 1.
        beta_first: f64,
        /// At t = T.
        beta_last: f64,
    },
    /// `sqrt(beta_t)` in equal steps (diffusers' `scaled_linear`).
    ScaledLinear {
        /// At t = 1.
        beta_first: f64,
        /// At t = T.
        beta_last: f64,
    },
    /// See [`Schedule::cosine`].
    Cosine,
}

impl NoiseSchedule {
    /// guided-diffusion's `linear`: beta from 1e-4 to 0.02 for 1000 steps, smaller where there are more.
    #[must_use]
    pub fn guided_linear(steps: usize) -> Self {
        let scale = 1000.0 / steps as f64;
        Self::Linear {
            beta_first: scale * 1e-4,
            beta_last: scale * 0.02,
        }
    }
}

impl GuidedConfig {
    /// The network of the DPS paper's faces (`ffhq_10m.pt`): 256x256 RGB, 93.6 million parameters.
    #[must_use]
    pub fn ffhq256() -> Self {
        Self {
            image_channels: 3,
            image_size: 256,
            base_channels: 128,
            level_channels: vec![128, 128, 256, 256, 512, 512],
            blocks_per_level: 1,
            attention_levels: vec![4],
            heads: Heads::Channels(64),
            norm_groups: 32,
            norm_epsilon: 1e-5,
            resampling: Resampling::Blocks,
            time_in_blocks: TimeInBlocks::Modulation,
            waves: Waves::GUIDED,
            half_turn: false,
            schedule: NoiseSchedule::guided_linear(1000),
            diffusion_steps: 1000,
        }
    }

    /// A network for 64x64 RGB images that a laptop can train, with all that the large one has.
    #[must_use]
    pub fn small64() -> Self {
        Self {
            image_size: 64,
            base_channels: 32,
            level_channels: vec![32, 48, 64, 96],
            attention_levels: vec![3],
            heads: Heads::Channels(32),
            norm_groups: 8,
            ..Self::ffhq256()
        }
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    ///
    /// Which number is wrong, and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let levels = self.level_channels.len();
        require(
            (1..=8).contains(&levels),
            format!("level_channels must name 1 to 8 levels, has {levels}"),
        )?;
        for (name, value, most) in [
            ("image_channels", self.image_channels, 64),
            ("image_size", self.image_size, 4096),
            ("base_channels", self.base_channels, 4096),
            ("blocks_per_level", self.blocks_per_level, 32),
            ("norm_groups", self.norm_groups, 4096),
            ("diffusion_steps", self.diffusion_steps, 1_000_000),
        ] {
            require(
                (1..=most).contains(&value),
                format!("{name} must be from 1 to {most}, is {value}"),
            )?;
        }
        let block = 1 << (levels - 1);
        require(
            self.image_size.is_multiple_of(block),
            format!(
                "image_size {} must be a multiple of 2^(levels - 1) = {block}",
                self.image_size
            ),
        )?;
        let waves = self.base_channels / 2;
        require(
            self.base_channels.is_multiple_of(2) && waves as f64 > self.waves.frequency_shift,
            format!(
                "base_channels {} must be even, and half of it above frequency_shift {}",
                self.base_channels, self.waves.frequency_shift
            ),
        )?;
        require(
            self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0,
            format!("norm_epsilon must be above 0 and below 1, is {}", self.norm_epsilon),
        )?;
        self.validate_channels()
    }

    fn validate_channels(&self) -> Result<(), ConfigError> {
        let levels = self.level_channels.len();
        for (level, &channels) in self.level_channels.iter().enumerate() {
            require(
                (1..=16_384).contains(&channels) && channels.is_multiple_of(self.norm_groups),
                format!(
                    "level_channels must be from 1 to 16384 and multiples of norm_groups {}, level {level} has \
                     {channels}",
                    self.norm_groups
                ),
            )?;
        }
        if let Some(level) = self.attention_levels.iter().find(|&&level| level >= levels) {
            return Err(ConfigError::Invalid(format!(
                "attention_levels must be below {levels}, the number of levels, one is {level}"
            )));
        }
        for &level in self.attention_levels.iter().chain([&(levels - 1)]) {
            let channels = self.level_channels[level];
            require(
                self.heads.of(channels).is_some(),
                format!(
                    "level {level} has {channels} channels, which do not split into heads of attention, {:?}",
                    self.heads
                ),
            )?;
        }
        Ok(())
    }

    /// Heads of the attention at `level`; one where they do not divide, which [`Self::validate`] refuses.
    pub(crate) fn heads_at(&self, level: usize) -> usize {
        self.heads.of(self.level_channels[level]).unwrap_or(1)
    }

    /// The noise schedule that the network was trained for.
    ///
    /// # Errors
    ///
    /// If the numbers make no schedule.
    pub fn schedule(&self) -> Result<Schedule, ConfigError> {
        let steps = self.diffusion_steps;
        match self.schedule {
            NoiseSchedule::Linear { beta_first, beta_last } => Schedule::linear_with(steps, beta_first, beta_last),
            NoiseSchedule::ScaledLinear { beta_first, beta_last } => {
                let (first, last) = (beta_first.sqrt(), beta_last.sqrt());
                let intervals = steps.saturating_sub(1).max(1) as f64;
                let root = |i: usize| first + (last - first) * i as f64 / intervals;
                Schedule::from_betas((0..steps).map(|i| root(i).powi(2)).collect())
            }
            NoiseSchedule::Cosine => Schedule::cosine(steps),
        }
        .map_err(|error| ConfigError::Invalid(error.to_string()))
    }
}
