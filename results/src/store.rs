//! Reconstructions on disk, so that a run that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use ndarray::Array4;
use nn::{FloatType, NamedTensor};
use sha2::{Digest, Sha256};

/// The names of what stands in the files' table of text.
const SETTINGS: &str = "settings";
const SECONDS: &str = "seconds";

/// Images `[B, C, H, W]`, and how long it took to make them all, if that is known.
pub struct Kept {
    pub images: Array4<f32>,
    pub seconds: Option<f64>,
}

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
    pub fn get_or(&self, path: &Path, settings: &str, make: impl FnOnce() -> Result<Array4<f32>>) -> Result<Kept> {
        let path = self.folder.join(path).with_extension("safetensors");
        if let Some(kept) = read(&path, settings) {
            return Ok(kept);
        }
        let start = Instant::now();
        let images = make()?;
        let seconds = Some(start.elapsed().as_secs_f64());
        let kept = Kept { images, seconds };
        write(&path, settings, &kept).with_context(|| format!("cannot keep `{}`", path.display()))?;
        Ok(kept)
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
fn read(path: &Path, settings: &str) -> Option<Kept> {
    let made_with = nn::read_metadata(path).ok()?;
    if made_with.get(SETTINGS).map(String::as_str) != Some(settings) {
        return None;
    }
    let tensor = nn::read_weights(path).ok()?.into_iter().next()?;
    let shape: [usize; 4] = tensor.shape.try_into().ok()?;
    Some(Kept {
        images: Array4::from_shape_vec(shape, tensor.values).ok()?,
        seconds: made_with.get(SECONDS).and_then(|seconds| seconds.parse().ok()),
    })
}

fn write(path: &Path, settings: &str, kept: &Kept) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let tensor = NamedTensor {
        name: "images".into(),
        shape: kept.images.shape().to_vec(),
        values: kept.images.iter().copied().collect(),
    };
    let mut text = BTreeMap::from([(SETTINGS.to_owned(), settings.to_owned())]);
    if let Some(seconds) = kept.seconds {
        text.insert(SECONDS.to_owned(), seconds.to_string());
    }
    Ok(nn::save_tensors(path, &[tensor], FloatType::F32, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_with_its_time_and_for_its_own_settings_only() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let store = Store::new(folder.path());
        let path = Path::new("dps/seed-0");
        let ones = || Ok(Array4::ones((1, 3, 2, 2)));
        let made = store.get_or(path, "10 steps", ones)?;
        let again = store.get_or(path, "10 steps", || anyhow::bail!("it is kept"))?;
        assert_eq!((&again.images, again.seconds), (&made.images, made.seconds));
        assert!(made.seconds.is_some());
        let other = store.get_or(path, "20 steps", || Ok(Array4::zeros((1, 3, 2, 2))))?;
        assert_eq!(other.images.sum(), 0.0);
        Ok(())
    }
}
