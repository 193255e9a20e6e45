//! One sampler with one number of calls: what it draws, kept as features.

use std::path::PathBuf;

use anyhow::Result;
use cli::Progress;
use diffusion::{FiniteCheck, ScoreModel};
use imaging::sampler_rng;
use methods::Sampler;
use methods::stepping::Stepping;
use metrics::{ImageFeatures, Moments};
use ndarray::{Array2, Array4, Axis, concatenate};
use score_unet::Prior;

use crate::store::Store;

/// Images in one call of a sampler, and in one file of features: what an interruption loses at most.
const BATCH: usize = 16;
/// Images in a row of the figure.
const PICTURES: usize = 8;

/// A sampler with a number of calls.
pub struct Draw<'a> {
    pub prior: &'a Prior,
    /// Tells one version of the prior's weights from another.
    pub fingerprint: &'a str,
    pub sampler: &'static dyn Sampler,
    pub calls: usize,
    pub seed: u64,
}

impl Draw<'_> {
    /// The moments of the features of `count` images, and a few images for the figure.
    pub fn run(&self, count: usize, features: &ImageFeatures, store: &Store) -> Result<(Moments, Array4<f32>)> {
        let name = format!("{}, {} calls", self.sampler.title(), self.calls);
        let passes = count.div_ceil(BATCH) + 1;
        let progress = &mut Progress::new(&name, passes * self.sampler.evaluations(self.calls));
        let settings = self.settings("pictures", 0, PICTURES);
        let pictures = store.get_or(&self.path("pictures"), &settings, || self.images(0, PICTURES, progress))?;
        let mut all = Vec::new();
        for first in (0..count).step_by(BATCH) {
            let size = BATCH.min(count - first);
            let path = self.path(&format!("features-{first}"));
            let kept = store.get_or(&path, &self.settings("features", first, size), || {
                let of_each = features.of(&self.images(first, size, progress)?)?;
                Ok(of_each
                    .mapv(|value| value as f32)
                    .insert_axis(Axis(2))
                    .insert_axis(Axis(3)))
            })?;
            all.push(rows(&kept.images));
        }
        let views: Vec<_> = all.iter().map(|rows| rows.view()).collect();
        Ok((Moments::of(&concatenate(Axis(0), &views)?)?, pictures.images))
    }

    /// All samplers start at the same noise.
    fn images(&self, first: usize, size: usize, progress: &mut Progress) -> Result<Array4<f32>> {
        let rng = &mut sampler_rng(self.seed, first, 0);
        let observer = &mut (FiniteCheck, &mut *progress);
        let stepping = Stepping::new(self.calls);
        let images = self.sampler.sample(self.prior, size, stepping, rng, observer)?;
        progress.next_run();
        Ok(images)
    }

    fn path(&self, what: &str) -> PathBuf {
        let calls = self.calls.to_string();
        ["samplers", self.sampler.name(), &calls, what].iter().collect()
    }

    /// All that the images depend on.
    fn settings(&self, what: &str, first: usize, size: usize) -> String {
        let Self {
            prior,
            fingerprint,
            sampler,
            calls,
            seed,
        } = self;
        // A GPU rounds differently, so what it made is not taken for the CPU's.
        let device = if prior.is_on_gpu() { "; on a GPU" } else { "" };
        let (name, settings, shape) = (prior.name(), sampler.settings(), prior.image_shape());
        let images = format!("{calls} calls; seed {seed}; images {first} + {size}");
        format!("{what}; prior {name} {fingerprint} {shape:?}; {settings}; {images}{device}")
    }
}

/// Features as the store keeps them, `[N, D, 1, 1]`, as rows.
fn rows(kept: &Array4<f32>) -> Array2<f64> {
    let (count, size, _, _) = kept.dim();
    Array2::from_shape_fn((count, size), |(i, j)| f64::from(kept[[i, j, 0, 0]]))
}
