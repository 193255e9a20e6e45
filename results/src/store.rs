//! Reconstructions on disk, so that a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ndarray::Array4;
use nn::{FloatType, NamedTensor};
use sha2::{Digest, Sha256};

/// The name of what stands in the files' table of text.
const SETTINGS: &str = "settings";

/// A folder of reconstructions.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.join("reconstructions"),
        }
    }

    /// Whether something is kept at `path`, whatever it was made with.
    pub fn has(&self, path: &Path) -> bool {
        self.folder.join(path).with_extension("safetensors").is_file()
    }

    /// The images at `path`, if they were made with these `settings`; else those that `make` makes, which are kept.
    pub fn get_or(
        &self,
        path: &Path,
        settings: &str,
        make: impl FnOnce() -> Result<Array4<f32>>,
    ) -> Result<Array4<f32>> {
        let path = self.folder.join(path).with_extension("safetensors");
        if let Some(images) = read(&path, settings) {
            return Ok(images);
        }
        let images = make()?;
        write(&path, settings, &images).with_context(|| format!("cannot keep `{}`", path.display()))?;
        Ok(images)
    }
}

/// What tells one version of a prior's weights from another, on any machine and with any compiler.
pub fn fingerprint_of_prior(folder: &Path) -> Result<String> {
    let path = folder.join("weights.safetensors");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(digits(Sha256::digest(&bytes).as_slice()))
}

/// What tells images `[B, C, H, W]` from others, whatever they are called.
pub fn fingerprint_of_images(images: &Array4<f32>) -> String {
    let mut digest = Sha256::new();
    images.iter().for_each(|value| digest.update(value.to_le_bytes()));
    digits(digest.finalize().as_slice())
}

/// The first 16.
fn digits(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What cannot be read, or was made with other settings, is made anew.
fn read(path: &Path, settings: &str) -> Option<Array4<f32>> {
    let made_with = nn::read_metadata(path).ok()?;
    if made_with.get(SETTINGS).map(String::as_str) != Some(settings) {
        return None;
    }
    let tensor = nn::read_weights(path).ok()?.into_iter().next()?;
    let shape: [usize; 4] = tensor.shape.try_into().ok()?;
    Array4::from_shape_vec(shape, tensor.values).ok()
}

fn write(path: &Path, settings: &str, images: &Array4<f32>) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let tensor = NamedTensor {
        name: "images".into(),
        shape: images.shape().to_vec(),
        values: images.iter().copied().collect(),
    };
    let text = BTreeMap::from([(SETTINGS.to_owned(), settings.to_owned())]);
    Ok(nn::save_tensors(path, &[tensor], FloatType::F32, &text)?)
}
