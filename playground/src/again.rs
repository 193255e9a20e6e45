//! A run that the page saved, without a page.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cli::Judge;
use diffusion::ScoreModel;
use program::{print, say};

use crate::log::Log;
use crate::plan::Plan;
use crate::wish::Wish;
use crate::work::Bench;

/// Does the run that `file` holds, and writes its pictures into the folder `out`: each sample, and, of several, their
/// mean and spread.
///
/// - `name`: what the prior is called
///
/// # Errors
///
/// A file that is none of the page's, whatever is wrong with the run, a folder that cannot be written into.
pub fn again(file: &Path, model: &(dyn ScoreModel + Send + Sync), name: &str, out: &Path) -> Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let wish: Wish =
        serde_json::from_slice(&text).with_context(|| format!("`{}` is no run that the page saved", file.display()))?;
    let plan = Plan::of(&wish, model, name)?;
    if !plan.settings.is_empty() {
        say(&plan.settings);
    }
    let log = &Log::with_patience(0, Duration::MAX);
    let judge = &Judge::new()?;
    let results = rayon::scope(|_| Bench { model, judge, log }.perform(&plan))?;
    for (sample, image) in results.iter().enumerate() {
        save(out, &format!("sample-{sample}.png"), image)?;
    }
    if results.len() > 1 {
        save(out, "mean.png", &cli::mean(&results))?;
        save(out, "spread.png", &cli::spread(&results))?;
    }
    Ok(())
}

fn save(out: &Path, name: &str, image: &ndarray::Array3<f32>) -> Result<()> {
    let path = out.join(name);
    imaging::save_png(&path, image)?;
    print(&path.display().to_string());
    Ok(())
}
