//! Which tensors of a published network become which of ours.

use score_unet::GuidedConfig;

/// How a code base calls its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// guided-diffusion.
    GuidedDiffusion,
    /// diffusers' `UNet2DModel`.
    Diffusers,
    /// The same before its version 0.15, as in older files.
    OldDiffusers,
}

/// The tensors of theirs that make up our tensor `name`, one after the other; none for a name that is not ours.
#[must_use]
pub fn sources(name: &str, config: &GuidedConfig, naming: Naming) -> Option<Vec<String>> {
    let (layer, kind) = name.rsplit_once('.')?;
    let layers = match naming {
        Naming::GuidedDiffusion => vec![guided_diffusion(layer, config)?],
        Naming::Diffusers | Naming::OldDiffusers => diffusers(layer, naming)?,
    };
    Some(layers.into_iter().map(|layer| format!("{layer}.{kind}")).collect())
}

/// `down.4.blocks.0.conv1` is `input_blocks.9.0.in_layers.2`, if there is one block a level.
fn guided_diffusion(layer: &str, config: &GuidedConfig) -> Option<String> {
    let n = config.blocks_per_level;
    let number = |text: &str| text.parse::<usize>().ok();
    let parts: Vec<&str> = layer.split('.').collect();
    Some(match parts.as_slice() {
        ["time_in"] => "time_embed.0".into(),
        ["time_out"] => "time_embed.2".into(),
        ["conv_in"] => "input_blocks.0.0".into(),
        ["norm_out"] => "out.0".into(),
        ["conv_out"] => "out.2".into(),
        ["mid_in", part] => format!("middle_block.0.{}", guided_block(part)?),
        ["mid_attention", part] => format!("middle_block.1.{}", guided_attention(part)?),
        ["mid_out", part] => format!("middle_block.2.{}", guided_block(part)?),
        ["down", level, rest @ ..] => {
            let first = 1 + number(level)? * (n + 1);
            match rest {
                ["blocks", index, part] => format!("input_blocks.{}.0.{}", first + number(index)?, guided_block(part)?),
                ["attentions", index, part] => {
                    format!("input_blocks.{}.1.{}", first + number(index)?, guided_attention(part)?)
                }
                ["resample", "block", part] => format!("input_blocks.{}.0.{}", first + n, guided_block(part)?),
                ["resample", "conv"] => format!("input_blocks.{}.0.op", first + n),
                _ => return None,
            }
        }
        ["up", step, rest @ ..] => {
            let first = number(step)? * (n + 1);
            let level = config.level_channels.len() - 1 - number(step)?;
            let behind = if config.attention_levels.contains(&level) { 2 } else { 1 };
            match rest {
                ["blocks", index, part] => {
                    format!("output_blocks.{}.0.{}", first + number(index)?, guided_block(part)?)
                }
                ["attentions", index, part] => {
                    format!("output_blocks.{}.1.{}", first + number(index)?, guided_attention(part)?)
                }
                ["resample", "block", part] => {
                    format!("output_blocks.{}.{behind}.{}", first + n, guided_block(part)?)
                }
                ["resample", "conv"] => format!("output_blocks.{}.{behind}.conv", first + n),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn guided_block(part: &str) -> Option<&'static str> {
    Some(match part {
        "norm1" => "in_layers.0",
        "conv1" => "in_layers.2",
        "time" => "emb_layers.1",
        "norm2" => "out_layers.0",
        "conv2" => "out_layers.3",
        "skip" => "skip_connection",
        _ => return None,
    })
}

fn guided_attention(part: &str) -> Option<&'static str> {
    Some(match part {
        "norm" => "norm",
        "qkv" => "qkv",
        "proj" => "proj_out",
        _ => return None,
    })
}

/// `down.4.blocks.0.conv1` is `down_blocks.4.resnets.0.conv1`.
fn diffusers(layer: &str, naming: Naming) -> Option<Vec<String>> {
    let parts: Vec<&str> = layer.split('.').collect();
    let one = |name: String| Some(vec![name]);
    match parts.as_slice() {
        ["time_in"] => one("time_embedding.linear_1".into()),
        ["time_out"] => one("time_embedding.linear_2".into()),
        ["conv_in"] => one("conv_in".into()),
        ["norm_out"] => one("conv_norm_out".into()),
        ["conv_out"] => one("conv_out".into()),
        ["mid_in", part] => one(format!("mid_block.resnets.0.{}", diffusers_block(part)?)),
        ["mid_attention", part] => diffusers_attention("mid_block.attentions.0", part, naming),
        ["mid_out", part] => one(format!("mid_block.resnets.1.{}", diffusers_block(part)?)),
        [way @ ("down" | "up"), level, rest @ ..] => {
            let at = format!("{way}_blocks.{level}");
            match rest {
                ["blocks", index, part] => one(format!("{at}.resnets.{index}.{}", diffusers_block(part)?)),
                ["attentions", index, part] => diffusers_attention(&format!("{at}.attentions.{index}"), part, naming),
                ["resample", "conv"] => one(format!("{at}.{way}samplers.0.conv")),
                _ => None,
            }
        }
        _ => None,
    }
}

fn diffusers_block(part: &str) -> Option<&'static str> {
    Some(match part {
        "norm1" => "norm1",
        "conv1" => "conv1",
        "time" => "time_emb_proj",
        "norm2" => "norm2",
        "conv2" => "conv2",
        "skip" => "conv_shortcut",
        _ => return None,
    })
}

/// Queries, keys and values are three layers there.
fn diffusers_attention(at: &str, part: &str, naming: Naming) -> Option<Vec<String>> {
    let names: &[&str] = match (part, naming) {
        ("norm", _) => &["group_norm"],
        ("qkv", Naming::OldDiffusers) => &["query", "key", "value"],
        ("qkv", _) => &["to_q", "to_k", "to_v"],
        ("proj", Naming::OldDiffusers) => &["proj_attn"],
        ("proj", _) => &["to_out.0"],
        _ => return None,
    };
    Some(names.iter().map(|name| format!("{at}.{name}")).collect())
}
