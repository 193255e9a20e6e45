//! A network of guided-diffusion, recognised by the names and shapes of its tensors.
//!
//! They say all but four things: the size of the image, the number of heads, the order of queries, keys and values, and
//! the noise schedule. What nobody names is taken as in the published checkpoints, and said.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nn::NamedTensor;
use score_unet::{GuidedConfig, Heads, NoiseSchedule, Resampling, TimeInBlocks, Waves};

use crate::convert::AttentionOrder;
use crate::found::Found;
use crate::names::Naming;

/// What a user says of a network that its file does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Height and width of its images.
    pub image_size: Option<usize>,
    /// Heads of its attention.
    pub heads: Option<Heads>,
    /// The order of queries, keys and values.
    pub attention_order: Option<AttentionOrder>,
    /// Its noise schedule.
    pub noise: Option<Noise>,
    /// Number of diffusion steps T.
    pub steps: Option<usize>,
}

/// The noise schedules that guided-diffusion knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Beta in equal steps.
    Linear,
    /// See [`diffusion::Schedule::cosine`].
    Cosine,
}

impl Wishes {
    /// Refuses any wish.
    ///
    /// # Errors
    ///
    /// Which one there is, and `why` it is none to have.
    pub fn ensure_none(&self, why: &str) -> Result<()> {
        for (flag, given) in [
            ("--image-size", self.image_size.is_some()),
            ("--heads and --head-channels", self.heads.is_some()),
            ("--attention-order", self.attention_order.is_some()),
            ("--noise", self.noise.is_some()),
            ("--steps", self.steps.is_some()),
        ] {
            ensure!(!given, "{flag}: {why}");
        }
        Ok(())
    }
}

/// The tensor by which such a network is known.
const FIRST: &str = "input_blocks.0.0.weight";
/// Every group normalisation of that code base has so many groups.
const GROUPS: usize = 32;
/// Channels of a head in nearly all of its published checkpoints.
const HEAD_CHANNELS: usize = 64;

/// The network in a file of guided-diffusion, whose tensors these are.
///
/// # Errors
///
/// Tensors that are not of such a network, or of one of another kind; wishes that do not fit.
pub fn recognise(file: &Path, tensors: BTreeMap<String, NamedTensor>, wishes: &Wishes) -> Result<Found> {
    let mut remarks = Vec::new();
    let tensors = without_prefix(tensors, &mut remarks)?;
    let shapes = Shapes(&tensors);
    ensure!(
        !tensors.contains_key("label_emb.weight"),
        "it is conditional on classes (it has label_emb.weight), and a prior here has none"
    );
    ensure!(
        tensors.contains_key("out.2.weight"),
        "it lacks out.2.weight: is it a classifier?"
    );
    let image_channels = shapes.of(FIRST)?[1];
    let output_channels = shapes.of("out.2.weight")?[0];
    ensure!(
        output_channels == image_channels || output_channels == 2 * image_channels,
        "it makes {output_channels} channels of {image_channels}, expected as many or twice as many"
    );
    ensure!(
        image_channels <= 3,
        "it reads {image_channels} channels, expected 3 (RGB) or 1: a network that enlarges images reads 6, and is \
         no prior"
    );
    if output_channels == 2 * image_channels {
        remarks.push(format!(
            "it also says a variance for each pixel (learned variance): that half of its {output_channels} output \
             channels is left away"
        ));
    }

    let Levels {
        level_channels,
        blocks_per_level,
        attention_levels,
        resampling,
    } = levels(&shapes)?;
    let steps = wishes.steps.unwrap_or(1000);
    let schedule = match wishes.noise.unwrap_or(Noise::Linear) {
        Noise::Linear => NoiseSchedule::guided_linear(steps),
        Noise::Cosine => NoiseSchedule::Cosine,
    };
    let attention_order = wishes.attention_order.unwrap_or(AttentionOrder::Old);
    let heads = heads(wishes, &level_channels, &attention_levels)?;
    let image_size = image_size(wishes, level_channels.len())?;
    let config = GuidedConfig {
        image_channels,
        image_size,
        base_channels: shapes.of("time_embed.0.weight")?[1],
        blocks_per_level,
        heads,
        norm_groups: GROUPS,
        norm_epsilon: 1e-5,
        resampling,
        time_in_blocks: time_in_blocks(&shapes)?,
        waves: Waves::GUIDED,
        half_turn: false,
        schedule,
        diffusion_steps: steps,
        level_channels,
        attention_levels,
    };
    config.validate()?;
    remarks.push(taken_for_granted(&config, wishes, attention_order));
    Ok(Found {
        file: file.to_path_buf(),
        config,
        naming: Naming::GuidedDiffusion,
        attention_order,
        output_channels,
        tensors,
        remarks,
    })
}

/// Shapes by name.
struct Shapes<'a>(&'a BTreeMap<String, NamedTensor>);

impl Shapes<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The shape of a tensor that must be there, of at least two axes.
    fn of(&self, name: &str) -> Result<&[usize]> {
        let tensor = self
            .0
            .get(name)
            .with_context(|| format!("it lacks the tensor {name}"))?;
        ensure!(
            tensor.shape.len() >= 2,
            "its tensor {name} has the shape {:?}, expected a matrix or a convolution",
            tensor.shape
        );
        Ok(&tensor.shape)
    }

    /// The number of modules `prefix.0`, `prefix.1`, ...
    fn count(&self, prefix: &str) -> usize {
        let starts = |index: &usize| {
            let start = format!("{prefix}.{index}.");
            self.0
                .range(start.clone()..)
                .next()
                .is_some_and(|(name, _)| name.starts_with(&start))
        };
        (0..).take_while(starts).count()
    }
}

/// Some store the network as a part of more, such as `state_dict.`: the part that is one.
fn without_prefix(
    tensors: BTreeMap<String, NamedTensor>,
    remarks: &mut Vec<String>,
) -> Result<BTreeMap<String, NamedTensor>> {
    let Some(prefix) = tensors
        .keys()
        .find_map(|name| name.strip_suffix(FIRST))
        .map(String::from)
    else {
        bail!(
            "it lacks the tensor {FIRST}; the first of its {} tensors are {}",
            tensors.len(),
            tensors.keys().take(3).cloned().collect::<Vec<_>>().join(", ")
        );
    };
    if prefix.is_empty() {
        return Ok(tensors);
    }
    let all = tensors.len();
    let part: BTreeMap<_, _> = tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_string(), tensor)))
        .collect();
    remarks.push(format!(
        "the network is the part `{prefix}` of the file; {} other tensors are left away",
        all - part.len()
    ));
    Ok(part)
}

struct Levels {
    level_channels: Vec<usize>,
    blocks_per_level: usize,
    attention_levels: Vec<usize>,
    resampling: Resampling,
}

/// On the way up each level has one more block than on the way down, and the last block of each but the finest level is
/// followed by what doubles height and width: that tells where levels end.
fn levels(file: &Shapes<'_>) -> Result<Levels> {
    let (inputs, outputs) = (file.count("input_blocks"), file.count("output_blocks"));
    let has_attention = |block: usize| file.has(&format!("output_blocks.{block}.1.qkv.weight"));
    let resamples = |block: usize| {
        let at = format!("output_blocks.{block}.{}", if has_attention(block) { 2 } else { 1 });
        if file.has(&format!("{at}.in_layers.0.weight")) {
            Some(Resampling::Blocks)
        } else {
            file.has(&format!("{at}.conv.weight"))
                .then_some(Resampling::Convolutions)
        }
    };
    let end = (0..outputs).find_map(|block| Some((block, resamples(block)?)));
    // Without any there is one level.
    let (last, resampling) = end.unwrap_or((outputs.max(1) - 1, Resampling::Blocks));
    let per_level = last + 1;
    ensure!(
        per_level >= 2 && outputs.is_multiple_of(per_level) && inputs == outputs,
        "it has {inputs} input blocks and {outputs} output blocks, {per_level} to a level: no UNet of guided-diffusion \
         is made so"
    );
    let (mut level_channels, mut attention_levels) = (Vec::new(), Vec::new());
    let count = outputs / per_level;
    for level in 0..count {
        let block = outputs - 1 - level * per_level;
        level_channels.push(file.of(&format!("output_blocks.{block}.0.out_layers.3.weight"))?[0]);
        if has_attention(block) {
            attention_levels.push(level);
        }
    }
    Ok(Levels {
        level_channels,
        blocks_per_level: per_level - 1,
        attention_levels,
        resampling,
    })
}

fn time_in_blocks(file: &Shapes<'_>) -> Result<TimeInBlocks> {
    let channels = file.of("middle_block.0.out_layers.3.weight")?[0];
    let rows = file.of("middle_block.0.emb_layers.1.weight")?[0];
    match rows {
        _ if rows == 2 * channels => Ok(TimeInBlocks::Modulation),
        _ if rows == channels => Ok(TimeInBlocks::Shift),
        _ => bail!(
            "its blocks of {channels} channels are told the time by {rows} numbers, expected as many or twice as many"
        ),
    }
}

/// Heads as wished, else those of nearly all published checkpoints.
fn heads(wishes: &Wishes, level_channels: &[usize], attention_levels: &[usize]) -> Result<Heads> {
    if let Some(heads) = wishes.heads {
        return Ok(heads);
    }
    let heads = Heads::Channels(HEAD_CHANNELS);
    let coarsest = level_channels.len() - 1;
    let mut levels = attention_levels.iter().chain([&coarsest]);
    let fits = levels.all(|&level| heads.of(level_channels[level]).is_some());
    ensure!(
        fits,
        "its attention has no heads of {HEAD_CHANNELS} channels, as those of most checkpoints have, and the file does \
         not say how many: name --heads or --head-channels"
    );
    Ok(heads)
}

/// The size as wished, else that for which guided-diffusion takes so many levels.
fn image_size(wishes: &Wishes, levels: usize) -> Result<usize> {
    let usual = match levels {
        4 => Some(64),
        5 => Some(128),
        6 => Some(256),
        7 => Some(512),
        _ => None,
    };
    wishes.image_size.or(usual).with_context(|| {
        format!("it has {levels} levels, and the file does not say for images of what size: name --image-size")
    })
}

fn taken_for_granted(config: &GuidedConfig, wishes: &Wishes, order: AttentionOrder) -> String {
    let mut granted = Vec::new();
    if wishes.image_size.is_none() {
        granted.push(format!("images of {0}x{0} pixels (--image-size)", config.image_size));
    }
    if wishes.heads.is_none() {
        granted.push(format!("heads of {HEAD_CHANNELS} channels (--head-channels, --heads)"));
    }
    if wishes.attention_order.is_none() {
        granted.push(format!("the {order} order of attention (--attention-order)"));
    }
    if wishes.noise.is_none() {
        granted.push("the linear noise schedule (--noise)".into());
    }
    if wishes.steps.is_none() {
        granted.push(format!("{} steps (--steps)", config.diffusion_steps));
    }
    if granted.is_empty() {
        return "nothing had to be taken for granted".into();
    }
    format!(
        "what the file does not say is taken for granted: {}",
        granted.join(", ")
    )
}
