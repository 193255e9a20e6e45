//! Draws the hidden images from the prior, and the secret that they and all random inputs are derived from.

use std::path::Path;

use anyhow::{Context, Result};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::save_png;
use ndarray::Axis;
use score_unet::Prior;
use task3_generate::{StepForm, sample};

use crate::bar;
use crate::secret::{Owner, Secret};

/// A new secret for a course, or the one of the demonstration set, which is the same for everybody.
///
/// # Errors
///
/// If the operating system gives no random numbers.
pub fn secret(owner: Owner) -> Result<Secret> {
    match owner {
        Owner::Course => Secret::drawn(),
        Owner::Everybody => Ok(Secret::known(0)),
    }
}

/// Draws `count` images of `steps` steps each into `out`, which are the secret's and nobody else's, and writes the
/// secret beside them.
///
/// # Errors
///
/// If the network's device fails, or the files cannot be written.
pub fn draw(prior: &Prior, out: &Path, owner: Owner, count: u64, steps: usize) -> Result<()> {
    let (steps, secret) = (prior.schedule().steps(steps)?, secret(owner)?);
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))?;
    // First: where it cannot be kept, nothing is drawn. Images that do not belong to it are refused by their bands.
    secret.write(out, owner)?;
    let bar = bar::new("images", count);
    for index in 0..count {
        let rng = &mut secret.derive(&["hidden image", &index.to_string()]).rng();
        let images = sample(prior, 1, &steps, StepForm::Direct, rng, &mut FiniteCheck)?;
        save_png(
            &out.join(format!("hidden-{index:04}.png")),
            &images.index_axis(Axis(0), 0),
        )?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
