//! A run that the page saved, without a page.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cli::Judge;
use diffusion::ScoreModel;
use imaging::save_png;
use ndarray::Array3;

use crate::log::Log;
use crate::plan::Plan;
use crate::wish::Wish;
use crate::work::Bench;

/// Does the run that `file` holds, and writes its pictures into the folder `out`: each sample, and, of several, their
/// mean and spread. Returns their paths.
///
/// - `name`: what the prior is called
///
/// # Errors
///
/// A file that is none of the page's, whatever is wrong with the run, a folder that cannot be written into.
pub fn again(file: &Path, model: &(dyn ScoreModel + Send + Sync), name: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let wish: Wish =
        serde_json::from_slice(&text).with_context(|| format!("`{}` is no run that the page saved", file.display()))?;
    let plan = Plan::of(&wish, model, name)?;
    let log = &Log::new(0, Duration::MAX);
    let judge = &Judge::new()?;
    let results = rayon::scope(|_| Bench { model, judge, log }.perform(&plan))?;
    let mut pictures: Vec<(String, Array3<f32>)> = Vec::new();
    if results.len() > 1 {
        pictures.push(("mean.png".to_owned(), cli::mean(&results)));
        pictures.push(("spread.png".to_owned(), cli::spread(&results)));
    }
    let samples = results.into_iter().enumerate();
    pictures.extend(samples.map(|(sample, image)| (format!("sample-{sample}.png"), image)));
    let save = |(name, image): (String, Array3<f32>)| -> Result<PathBuf> {
        let path = out.join(name);
        save_png(&path, &image)?;
        Ok(path)
    };
    pictures.into_iter().map(save).collect()
}
