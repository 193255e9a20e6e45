//! The folder of an imported prior.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use nn::{FloatType, NamedTensor};
use score_unet::{GuidedConfig, UNetConfig, folder_name};

/// Where an imported network comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The name of its file or folder.
    pub name: String,
    /// The SHA-256 of the file with its weights.
    pub sha256: String,
    /// What was found, taken for granted and left away.
    pub remarks: Vec<String>,
}

/// Writes `config.json`, `weights.safetensors` and a card, `README.md`, into `folder`, which is made and must not hold
/// a prior yet.
///
/// # Errors
///
/// A folder that holds one, or cannot be written to.
pub fn write_prior(
    folder: &Path,
    config: &GuidedConfig,
    tensors: &[NamedTensor],
    float_type: FloatType,
    origin: &Origin,
) -> Result<()> {
    ensure_free(folder)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        files::write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    };
    // The weights come last: a folder without them is no prior.
    write("README.md", card(folder, config, tensors, float_type, origin))?;
    let config = serde_json::to_string_pretty(&UNetConfig::Guided(config.clone()))?;
    write("config.json", config + "\n")?;
    nn::save_tensors(
        &folder.join("weights.safetensors"),
        tensors,
        float_type,
        &[("source_sha256".to_string(), origin.sha256.clone())].into(),
    )?;
    Ok(())
}

/// Refuses a folder that holds a prior.
///
/// # Errors
///
/// If it does.
pub fn ensure_free(folder: &Path) -> Result<()> {
    let taken = ["config.json", "weights.safetensors"]
        .into_iter()
        .find(|name| folder.join(name).exists());
    ensure!(
        taken.is_none(),
        "{} holds a prior already (it has {}): name another folder with --out, or remove it",
        folder.display(),
        taken.unwrap_or_default()
    );
    Ok(())
}

fn card(
    folder: &Path,
    config: &GuidedConfig,
    tensors: &[NamedTensor],
    float_type: FloatType,
    origin: &Origin,
) -> String {
    let parameters: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let bits = match float_type {
        FloatType::F16 => "16-bit",
        FloatType::F32 => "32-bit",
    };
    let remarks: String = origin.remarks.iter().map(|remark| format!("- {remark}\n")).collect();
    format!(
        "# {name}: imported from {source}\n\n\
         A score network for {size}x{size} images, {millions:.1} million parameters in {bits} floats, made by \
         `cargo run -p import` from `{source}`, whose weights have the SHA-256\n\n    {sha256}\n\n\
         {remarks}\n\
         Whoever published that file decides on its licence; it is not part of this repository, and neither is this \
         folder.\n",
        name = folder_name(folder),
        source = origin.name,
        size = config.image_size,
        millions = parameters as f64 / 1e6,
        sha256 = origin.sha256,
    )
}
