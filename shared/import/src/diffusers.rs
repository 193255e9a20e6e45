//! A folder of diffusers: an unconditional `UNet2DModel` and its noise schedule.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use score_unet::{GuidedConfig, Heads, NoiseSchedule, Resampling, TimeInBlocks, WaveOrder, Waves};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::convert::AttentionOrder;
use crate::found::{Found, by_name};
use crate::names::Naming;

/// What `config.json` of a `UNet2DModel` says, and what diffusers takes where it says nothing.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "_class_name")]
    class_name: String,
    sample_size: Option<Side>,
    in_channels: usize,
    out_channels: usize,
    center_input_sample: bool,
    time_embedding_type: String,
    freq_shift: f64,
    flip_sin_to_cos: bool,
    down_block_types: Vec<String>,
    up_block_types: Vec<String>,
    mid_block_type: Option<String>,
    block_out_channels: Vec<usize>,
    layers_per_block: usize,
    mid_block_scale_factor: f64,
    downsample_padding: usize,
    downsample_type: String,
    upsample_type: String,
    act_fn: String,
    attention_head_dim: Option<usize>,
    norm_num_groups: usize,
    norm_eps: f64,
    resnet_time_scale_shift: String,
    add_attention: bool,
    class_embed_type: Option<String>,
    num_class_embeds: Option<usize>,
}

impl Default for Network {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(String::from).to_vec();
        Self {
            class_name: String::new(),
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: "positional".into(),
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: names(["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"]),
            up_block_types: names(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
            mid_block_type: Some("UNetMidBlock2D".into()),
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: "conv".into(),
            upsample_type: "conv".into(),
            act_fn: "silu".into(),
            attention_head_dim: Some(8),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            resnet_time_scale_shift: "default".into(),
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
        }
    }
}

/// One number, or height and width.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Two([usize; 2]),
}

/// What `scheduler_config.json` says, and what diffusers takes where it says nothing.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Scheduler {
    num_train_timesteps: usize,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: String,
    trained_betas: Option<Vec<f64>>,
    prediction_type: String,
    rescale_betas_zero_snr: bool,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: "linear".into(),
            trained_betas: None,
            prediction_type: "epsilon".into(),
            rescale_betas_zero_snr: false,
        }
    }
}

/// The network in a folder of diffusers: `config.json` and weights in it or in `unet/`, `scheduler_config.json` in it
/// or in `scheduler/`.
///
/// # Errors
///
/// A folder without them, a network or a schedule of another kind.
pub fn read(folder: &Path) -> Result<Found> {
    let unet = [folder.join("unet"), folder.to_path_buf()]
        .into_iter()
        .find(|place| place.join("config.json").is_file())
        .with_context(|| {
            format!(
                "{} is no folder of diffusers: expected config.json in it or in unet/",
                folder.display()
            )
        })?;
    let network: Network = read_json(&unet.join("config.json"))?;
    let mut remarks = Vec::new();
    let scheduler = scheduler(folder, &unet, &mut remarks)?;
    let config = network
        .config(&scheduler)
        .with_context(|| format!("{} cannot be imported", unet.join("config.json").display()))?;
    let weights = weights_file(&unet)?;
    let tensors = by_name(pytorch_files::read_tensors(&weights, &|_| true)?);
    let naming = if tensors.contains_key("mid_block.attentions.0.query.weight") {
        Naming::OldDiffusers
    } else {
        Naming::Diffusers
    };
    Ok(Found {
        file: weights,
        output_channels: network.out_channels,
        config,
        naming,
        attention_order: AttentionOrder::New,
        tensors,
        remarks,
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what diffusers writes", path.display()))
}

fn scheduler(folder: &Path, unet: &Path, remarks: &mut Vec<String>) -> Result<Scheduler> {
    let mut places = vec![folder.join("scheduler"), folder.to_path_buf(), unet.to_path_buf()];
    if let Some(above) = unet.parent() {
        places.push(above.join("scheduler"));
    }
    let mut files = places.into_iter().map(|place| place.join("scheduler_config.json"));
    match files.find(|file| file.is_file()) {
        Some(file) => read_json(&file),
        None => {
            remarks.push(
                "there is no scheduler_config.json: diffusers' default is taken, 1000 steps of beta from 1e-4 to 0.02"
                    .into(),
            );
            Ok(Scheduler::default())
        }
    }
}

fn weights_file(unet: &Path) -> Result<PathBuf> {
    const NAMES: [&str; 2] = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"];
    let mut files = NAMES.iter().map(|name| unet.join(name));
    files.find(|file| file.is_file()).with_context(|| {
        format!(
            "{} has no weights: expected {} or {}",
            unet.display(),
            NAMES[0],
            NAMES[1]
        )
    })
}

impl Network {
    fn config(&self, scheduler: &Scheduler) -> Result<GuidedConfig> {
        self.refuse_other_kinds()?;
        let levels = self.block_out_channels.len();
        ensure!(levels > 0, "block_out_channels is empty");
        let (first, image_size) = (self.block_out_channels[0], self.image_size()?);
        let config = GuidedConfig {
            image_channels: self.in_channels,
            image_size,
            base_channels: first,
            level_channels: self.block_out_channels.clone(),
            blocks_per_level: self.layers_per_block,
            attention_levels: self.attention_levels()?,
            heads: self.attention_head_dim.map_or(Heads::Number(1), Heads::Channels),
            norm_groups: self.norm_num_groups,
            norm_epsilon: self.norm_eps,
            resampling: Resampling::Convolutions,
            time_in_blocks: match self.resnet_time_scale_shift.as_str() {
                "default" => TimeInBlocks::Shift,
                "scale_shift" => TimeInBlocks::Modulation,
                other => bail!("resnet_time_scale_shift is {other:?}, expected \"default\" or \"scale_shift\""),
            },
            waves: Waves {
                order: if self.flip_sin_to_cos {
                    WaveOrder::CosinesFirst
                } else {
                    WaveOrder::SinesFirst
                },
                frequency_shift: self.freq_shift,
            },
            half_turn: self.downsample_padding == 0,
            schedule: scheduler.schedule()?,
            diffusion_steps: scheduler.num_train_timesteps,
        };
        config.validate()?;
        Ok(config)
    }

    /// Everything that makes it a network that is not known here.
    fn refuse_other_kinds(&self) -> Result<()> {
        let expect = |field: &str, found: &str, expected: &str| {
            ensure!(found == expected, "{field} is {found:?}, expected {expected:?}");
            Ok(())
        };
        expect("_class_name", &self.class_name, "UNet2DModel")?;
        expect("time_embedding_type", &self.time_embedding_type, "positional")?;
        expect("downsample_type", &self.downsample_type, "conv")?;
        expect("upsample_type", &self.upsample_type, "conv")?;
        ensure!(
            ["silu", "swish"].contains(&self.act_fn.as_str()),
            "act_fn is {:?}, expected \"silu\"",
            self.act_fn
        );
        expect(
            "mid_block_type",
            self.mid_block_type.as_deref().unwrap_or("null"),
            "UNetMidBlock2D",
        )?;
        ensure!(
            self.class_embed_type.is_none() && self.num_class_embeds.is_none(),
            "the network is conditional on classes, and a prior here has none"
        );
        ensure!(
            !self.center_input_sample && self.add_attention && self.mid_block_scale_factor == 1.0,
            "center_input_sample, add_attention and mid_block_scale_factor must be false, true and 1, are {}, {} and \
             {}",
            self.center_input_sample,
            self.add_attention,
            self.mid_block_scale_factor
        );
        ensure!(
            self.downsample_padding <= 1,
            "downsample_padding is {}, expected 0 or 1",
            self.downsample_padding
        );
        ensure!(
            self.in_channels == self.out_channels,
            "the network makes {} channels of {}, expected as many: it is none that predicts the noise in an image",
            self.out_channels,
            self.in_channels
        );
        Ok(())
    }

    fn image_size(&self) -> Result<usize> {
        match self.sample_size {
            Some(Side::One(size)) => Ok(size),
            Some(Side::Two([height, width])) if height == width => Ok(height),
            Some(Side::Two([height, width])) => bail!("sample_size is {height}x{width}, expected a square"),
            None => bail!("sample_size is missing: the size of the images in pixels"),
        }
    }

    /// Levels with attention, which must be the same on both ways.
    fn attention_levels(&self) -> Result<Vec<usize>> {
        let attends = |kind: &str, plain: &str, with: &str| match kind {
            _ if kind == plain => Ok(false),
            _ if kind == with => Ok(true),
            _ => bail!("a block is a {kind}, expected {plain} or {with}"),
        };
        let down = self
            .down_block_types
            .iter()
            .map(|kind| attends(kind, "DownBlock2D", "AttnDownBlock2D"));
        let down = down.collect::<Result<Vec<bool>>>()?;
        let up = self
            .up_block_types
            .iter()
            .rev()
            .map(|kind| attends(kind, "UpBlock2D", "AttnUpBlock2D"));
        let up = up.collect::<Result<Vec<bool>>>()?;
        ensure!(
            down == up && down.len() == self.block_out_channels.len(),
            "down_block_types, block_out_channels and up_block_types (from its end) do not name the same levels: {:?}, \
             {:?}, {:?}",
            self.down_block_types,
            self.block_out_channels,
            self.up_block_types
        );
        Ok((0..down.len()).filter(|&level| down[level]).collect())
    }
}

impl Scheduler {
    fn schedule(&self) -> Result<NoiseSchedule> {
        ensure!(
            self.prediction_type == "epsilon",
            "the network predicts {:?} (prediction_type), expected \"epsilon\", the noise",
            self.prediction_type
        );
        ensure!(
            self.trained_betas.is_none() && !self.rescale_betas_zero_snr,
            "the scheduler has trained_betas or rescale_betas_zero_snr, which are not known here"
        );
        let (beta_first, beta_last) = (self.beta_start, self.beta_end);
        match self.beta_schedule.as_str() {
            "linear" => Ok(NoiseSchedule::Linear { beta_first, beta_last }),
            "scaled_linear" => Ok(NoiseSchedule::ScaledLinear { beta_first, beta_last }),
            "squaredcos_cap_v2" => Ok(NoiseSchedule::Cosine),
            other => {
                bail!("beta_schedule is {other:?}, expected \"linear\", \"scaled_linear\" or \"squaredcos_cap_v2\"")
            }
        }
    }
}
