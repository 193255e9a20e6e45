//! Draws the hidden images from the prior.

use std::path::Path;

use anyhow::{Context, Result};
use diffusion::{FiniteCheck, ScoreModel};
use imaging::save_png;
use ndarray::Axis;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task3_generate::{StepForm, sample};

use crate::bar;

/// Draws `count` images of `steps` steps each into `out`, with seeds from `seed` on.
///
/// # Errors
///
/// If the network's device fails, or the images cannot be written.
pub fn draw(prior: &Prior, out: &Path, seed: u64, count: u64, steps: usize) -> Result<()> {
    let steps = prior.schedule().steps(steps)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))?;
    let bar = bar::new("images", count);
    for index in 0..count {
        let rng = &mut StdRng::seed_from_u64(seed.wrapping_add(index));
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
