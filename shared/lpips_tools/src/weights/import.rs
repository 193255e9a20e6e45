//! From the published files to one of ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use metrics::networks::{backbone_tensors, linear_tensors, select};
use metrics::{Backbone, Lpips};
use nn::{FloatType, NamedTensor};
// The reader of the Burn project: it is maintained, reads the old and the new format of `torch.save` (vgg16's file is
// of 2017), and takes a pickle for a description of tensors only; it has no way to call what the pickle names.
use pytorch_reader::{DType, PytorchReader};

use crate::weights::source::{backbone_source, linear_source, sha256};

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

/// Reads the tensors of a `.pth` file of `torch.save` or of a safetensors file whose names are `wanted`.
///
/// # Errors
///
/// A file that is neither, or cut off; tensors of other numbers than floats; numbers that are not finite.
pub fn read_tensors(path: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<NamedTensor>> {
    if is_safetensors(path)? {
        let tensors = nn::read_weights(path)?;
        return Ok(tensors.into_iter().filter(|tensor| wanted(&tensor.name)).collect());
    }
    let not_whole = || {
        format!(
            "{} is not a whole file of torch.save or safetensors; was it downloaded or copied completely?",
            path.display()
        )
    };
    let reader = PytorchReader::new(path).with_context(not_whole)?;
    let mut tensors = Vec::new();
    for (name, tensor) in reader.tensors().iter().filter(|(name, _)| wanted(name)) {
        let bytes = tensor.read().with_context(not_whole)?;
        let values = to_floats(tensor.dtype(), &bytes).with_context(|| {
            format!(
                "tensor `{name}` of {} holds {:?} numbers, expected floats",
                path.display(),
                tensor.dtype()
            )
        })?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(nn::WeightsError::NotFinite {
                name: name.clone(),
                index,
            })
            .with_context(not_whole);
        }
        tensors.push(NamedTensor {
            name: name.clone(),
            shape: tensor.shape().to_vec(),
            values,
        });
    }
    Ok(tensors)
}

fn to_floats(dtype: DType, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        DType::F32 => Some(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_ne_bytes(*b))
                .collect(),
        ),
        DType::F64 => Some(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_ne_bytes(*b) as f32)
                .collect(),
        ),
        DType::F16 => Some(
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| half::f16::from_ne_bytes(*b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// A safetensors file begins with the length of a JSON object and its brace.
fn is_safetensors(path: &Path) -> anyhow::Result<bool> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(9)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start.len() == 9 && start[8] == b'{')
}
