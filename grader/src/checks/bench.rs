//! What checks are made with: the prior, the hidden images, the metrics, the thresholds, and random inputs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cli::Judge;
use exchange::SMALL_SHAPE;
use imaging::{load_images, stack};
use ndarray::{Array2, Array4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use score_unet::Prior;

use crate::bands::thresholds::Thresholds;

/// The images in one batch of small random inputs.
const BATCH: usize = 3;

/// What checks are made with.
pub struct Bench {
    /// Where all random inputs come from.
    pub seed: u64,
    /// The folder of the prior, as workers see it.
    pub prior_folder: PathBuf,
    /// The prior, for the grader's own use.
    pub prior: Prior,
    /// The hidden images, `[B, 3, 64, 64]`.
    pub hidden: Array4<f32>,
    /// The metrics.
    pub judge: Judge,
    /// Points and bands.
    pub thresholds: Thresholds,
}

impl Bench {
    /// Reads the hidden images from a folder, and the prior from another.
    ///
    /// # Errors
    ///
    /// If either is missing or damaged, or there are fewer than four hidden images.
    pub fn new(seed: u64, prior_folder: &Path, hidden: &Path, thresholds: Thresholds) -> Result<Self> {
        let images = load_images(&[hidden.to_owned()], 64).with_context(|| {
            format!(
                "cannot read the hidden images in `{}`; `grader hidden` draws some",
                hidden.display()
            )
        })?;
        ensure!(
            images.len() >= 4,
            "`{}` holds {} images, expected at least 4; `grader hidden` draws some",
            hidden.display(),
            images.len()
        );
        let views: Vec<_> = images.iter().map(|image| image.pixels.view()).collect();
        Ok(Self {
            seed,
            prior_folder: prior_folder.to_owned(),
            prior: Prior::load(prior_folder)?,
            hidden: stack(&views)?,
            judge: Judge::new()?,
            thresholds,
        })
    }

    /// A small batch of standard normal numbers; `stream` tells inputs of one check apart.
    #[must_use]
    pub fn noise(&self, stream: u64) -> Array4<f32> {
        let [c, h, w] = SMALL_SHAPE;
        self.noise_of((BATCH, c, h, w), stream)
    }

    /// The same in any shape.
    #[must_use]
    pub fn noise_of(&self, shape: (usize, usize, usize, usize), stream: u64) -> Array4<f32> {
        Array4::random_using(shape, StandardNormal, &mut self.rng(stream))
    }

    /// A matrix that stands for the Jacobian of a score, of one small image.
    #[must_use]
    pub fn jacobian(&self, stream: u64) -> Array2<f32> {
        let d: usize = SMALL_SHAPE.iter().product();
        Array2::random_using((d, d), StandardNormal, &mut self.rng(stream)) * 0.2
    }

    /// Random numbers of one stream.
    #[must_use]
    pub fn rng(&self, stream: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(stream))
    }

    /// Times of steps: neighbouring ones, ones that skip times, and a last one.
    #[must_use]
    pub fn times(&self) -> Vec<(usize, usize)> {
        let rng = &mut self.rng(99);
        let mut near = || {
            let t = rng.random_range(50..950);
            (t, t - 1)
        };
        let mut times = vec![near(), near()];
        for _ in 0..2 {
            let t = rng.random_range(300..900);
            times.push((t, t - rng.random_range(50..200)));
        }
        times.push((rng.random_range(5..40), 0));
        times
    }
}
