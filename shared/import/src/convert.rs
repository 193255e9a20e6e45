//! From the tensors of a published network to ours, value by value.

use std::fmt;

use anyhow::{Context, Result, ensure};
use nn::{Cpu, NamedTensor, Parameters};
use score_unet::unet::UNet;
use score_unet::{GuidedConfig, UNetConfig};

use crate::found::Found;
use crate::names::{Naming, sources};

/// The order of queries, keys and values among the channels that attention reads. A file does not say which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionOrder {
    /// Those of the first head, then those of the second: guided-diffusion's `QKVAttentionLegacy`.
    Old,
    /// All queries, then all keys, then all values: `use_new_attention_order`; and ours.
    New,
}

impl fmt::Display for AttentionOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// Names and shapes of our tensors, in their order.
///
/// # Errors
///
/// If the configuration is invalid.
pub fn our_tensors(config: &GuidedConfig) -> Result<Vec<(String, Vec<usize>)>> {
    let network = UNet::<Cpu>::blank(&UNetConfig::Guided(config.clone()), &Cpu::default())?;
    let mut tensors = Vec::new();
    network.visit("", &mut |name, parameter| {
        tensors.push((name, parameter.shape().to_vec()))
    });
    Ok(tensors)
}

/// The tensors of our network, made of those that were found.
///
/// # Errors
///
/// Which tensors are missing, left over or of another shape.
pub fn convert(found: Found) -> Result<Vec<NamedTensor>> {
    let Found {
        config,
        naming,
        attention_order,
        output_channels,
        mut tensors,
        ..
    } = found;
    let (mut ours, mut faults) = (Vec::new(), Vec::new());
    for (name, shape) in our_tensors(&config)? {
        let sources = sources(&name, &config, naming).with_context(|| format!("{name} has no counterpart"))?;
        let theirs = their_shape(&name, &shape, sources.len(), output_channels);
        let mut values = Vec::new();
        for source in sources {
            match tensors.remove(&source) {
                None => faults.push(format!("it lacks {source} {theirs:?}")),
                Some(tensor) if trimmed(&tensor.shape) != trimmed(&theirs) => {
                    faults.push(format!(
                        "{source} has the shape {:?}, expected {theirs:?}",
                        tensor.shape
                    ));
                }
                // The only part of most, which is not copied.
                Some(tensor) if values.is_empty() => values = tensor.values,
                Some(tensor) => values.extend(tensor.values),
            }
        }
        if faults.is_empty() {
            let values = in_our_order(&name, &shape, values, &config, attention_order);
            ours.push(NamedTensor { name, shape, values });
        }
    }
    faults.extend(tensors.keys().map(|name| format!("it also has {name}")));
    ensure!(faults.is_empty(), "{}", several(&faults, &config, naming));
    Ok(ours)
}

fn several(faults: &[String], config: &GuidedConfig, naming: Naming) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = faults.iter().take(SHOWN).map(String::as_str).collect();
    let more = match faults.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let of = match naming {
        Naming::GuidedDiffusion => "guided-diffusion",
        Naming::Diffusers | Naming::OldDiffusers => "diffusers",
    };
    format!(
        "the tensors are not those of the {of} network of levels of {:?} channels, {} blocks each, with attention at \
         the levels {:?} (the finest is 0), that they seemed to be:\n  {}{more}",
        config.level_channels,
        config.blocks_per_level,
        config.attention_levels,
        shown.join("\n  "),
    )
}

/// The shape of a part of theirs: queries, keys and values may be three; the output may have twice the channels.
fn their_shape(name: &str, ours: &[usize], parts: usize, output_channels: usize) -> Vec<usize> {
    let mut shape = ours.to_vec();
    if name.starts_with("conv_out.") {
        shape[0] = output_channels;
    }
    shape[0] /= parts;
    shape
}

/// Without axes of length 1 at the end: a convolution over one pixel is written as a matrix by some.
fn trimmed(shape: &[usize]) -> &[usize] {
    let len = shape.iter().rposition(|&size| size != 1).map_or(1, |last| last + 1);
    &shape[..len.min(shape.len())]
}

fn in_our_order(
    name: &str,
    shape: &[usize],
    mut values: Vec<f32>,
    config: &GuidedConfig,
    order: AttentionOrder,
) -> Vec<f32> {
    values.truncate(shape.iter().product());
    if config.half_turn && shape.len() == 4 {
        let kernel = shape[2] * shape[3];
        values.chunks_exact_mut(kernel).for_each(<[f32]>::reverse);
    }
    if order == AttentionOrder::Old && name.contains("qkv.") {
        let channels = shape[0] / 3;
        let heads = config.heads.of(channels).unwrap_or(1);
        values = parts_first(&values, heads, channels / heads, shape.iter().skip(1).product());
    }
    values
}

/// Rows `[heads][3][head channels]` as `[3][heads][head channels]`, a row being `row_len` values.
fn parts_first(values: &[f32], heads: usize, head_channels: usize, row_len: usize) -> Vec<f32> {
    let len = head_channels * row_len;
    let mut reordered = Vec::with_capacity(values.len());
    for part in 0..3 {
        for head in 0..heads {
            reordered.extend_from_slice(&values[(3 * head + part) * len..][..len]);
        }
    }
    reordered
}
