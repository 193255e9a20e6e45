//! From the published files to one of ours.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use metrics::networks::{backbone_tensors, linear_tensors, select};
use metrics::{Backbone, Lpips};
use nn::{FloatType, NamedTensor};
use pytorch_files::{read_tensors, sha256};

use crate::weights::source::{backbone_source, linear_source};

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of tensors in the written file.
    pub tensors: usize,
    /// The SHA-256 of the classification network's file.
    pub backbone_sha256: String,
    /// The SHA-256 of the stage weights' file.
    pub linear_sha256: String,
}

/// Which files an import takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Those with the published digests.
    Published,
    /// Any: a conversion to safetensors, or a network of one's own, has another digest.
    Any,
}

/// Reads torchvision's file and the authors' stage weights, each `.pth` or safetensors, and writes to `out` what
/// [`Lpips::load`] reads. A file that is not of the kind that `files` names is refused.
///
/// # Errors
///
/// A file that is missing, cut off, not of the published digest, not of PyTorch or safetensors, without the tensors of
/// this backbone, or with numbers that are not finite; stage weights below zero; a place that cannot be written to.
pub fn import(
    backbone: Backbone,
    backbone_file: &Path,
    linear_file: &Path,
    out: &Path,
    files: Files,
) -> anyhow::Result<Report> {
    let sources = backbone_source(backbone).zip(linear_source(backbone));
    let (of_backbone, of_linear) =
        sources.context("the embedded backbone is part of the program: nothing to import")?;
    let (backbone_sha256, linear_sha256) = (sha256(backbone_file)?, sha256(linear_file)?);
    if files == Files::Published {
        for (path, found, source) in [
            (backbone_file, &backbone_sha256, of_backbone),
            (linear_file, &linear_sha256, of_linear),
        ] {
            let checked = source.digest.check(found, &path.display().to_string());
            checked.map_err(|error| anyhow!("{error}; if it is meant to be another one, say so with --unverified"))?;
        }
    }
    let mut tensors = pick(backbone_file, &backbone_tensors(backbone))?;
    tensors.extend(pick(linear_file, &linear_tensors(backbone))?);
    // Everything that can be wrong with them is found here, before anything is written.
    Lpips::from_tensors(backbone, &tensors)?;
    let metadata = BTreeMap::from([
        ("backbone".to_string(), backbone.name().to_string()),
        ("backbone_sha256".to_string(), backbone_sha256.clone()),
        ("linear_sha256".to_string(), linear_sha256.clone()),
    ]);
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    nn::save_tensors(out, &tensors, FloatType::F32, &metadata)?;
    Ok(Report {
        tensors: tensors.len(),
        backbone_sha256,
        linear_sha256,
    })
}

fn pick(path: &Path, specs: &[(String, Vec<usize>)]) -> anyhow::Result<Vec<NamedTensor>> {
    let wanted = |name: &str| specs.iter().any(|(wanted, _)| wanted == name);
    let tensors = read_tensors(path, &wanted)?;
    select(specs, &tensors).with_context(|| format!("{} is a file of another network", path.display()))
}
