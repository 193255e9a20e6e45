//! What was found in a file or folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nn::NamedTensor;
use score_unet::GuidedConfig;

use crate::convert::AttentionOrder;
use crate::diffusers;
use crate::guided_diffusion::{self, Wishes};
use crate::names::Naming;

/// A published network, as it lies in its file.
#[derive(Debug)]
pub struct Found {
    /// The file that holds its tensors.
    pub file: PathBuf,
    /// The network.
    pub config: GuidedConfig,
    /// How its tensors are called.
    pub naming: Naming,
    /// The order of queries, keys and values among its channels.
    pub attention_order: AttentionOrder,
    /// Channels of its output: those of the image, or twice as many where it also says a variance.
    pub output_channels: usize,
    /// Its tensors by their names.
    pub tensors: BTreeMap<String, NamedTensor>,
    /// What was found, taken for granted and left away, in sentences for people.
    pub remarks: Vec<String>,
}

/// Reads a published network: a folder of diffusers, or a file of guided-diffusion.
///
/// # Errors
///
/// What is neither; a file that is cut off or not of PyTorch or safetensors; a network of another kind; `wishes` that
/// contradict what is there.
pub fn read(source: &Path, wishes: &Wishes) -> Result<Found> {
    ensure!(
        source.exists(),
        "there is nothing at {}: expected a checkpoint of guided-diffusion (.pt or .safetensors) or a folder of \
         diffusers' UNet2DModel",
        source.display()
    );
    if source.is_dir() {
        wishes.ensure_none("a folder of diffusers says it itself")?;
        return diffusers::read(source);
    }
    let tensors = pytorch_files::read_tensors(source, &|_| true)?;
    guided_diffusion::recognise(source, by_name(tensors), wishes).with_context(|| {
        format!(
            "{} holds no network that can be imported, which are those of guided-diffusion without classes",
            source.display()
        )
    })
}

/// Tensors by their names.
#[must_use]
pub fn by_name(tensors: Vec<NamedTensor>) -> BTreeMap<String, NamedTensor> {
    tensors
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect()
}
