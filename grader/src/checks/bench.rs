//! What checks are made with: the prior, the hidden images, the metrics, the thresholds, and random inputs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cli::Judge;
use exchange::SMALL_SHAPE;
use imaging::{load_images, stack};
use ndarray::{Array2, Array4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;
use rand::rngs::StdRng;
use score_unet::Prior;
use sha2::{Digest, Sha256};

use crate::bands::thresholds::Thresholds;
use crate::secret::Secret;

/// The images in one batch of small random inputs.
const BATCH: usize = 3;

/// What checks are made with.
#[derive(Clone)]
pub struct Bench {
    /// Where all random inputs come from.
    pub secret: Secret,
    /// The prior.
    pub prior: Arc<Prior>,
    /// The hidden images, `[B, 3, 64, 64]`.
    pub hidden: Arc<Array4<f32>>,
    /// The metrics.
    pub judge: Arc<Judge>,
    /// Points and bands.
    pub thresholds: Arc<Thresholds>,
}

impl Bench {
    /// Reads the hidden images from a folder, and the prior from another.
    ///
    /// # Errors
    ///
    /// If either is missing or damaged, or there are fewer than four hidden images.
    pub fn new(secret: Secret, prior_folder: &Path, hidden: &Path, thresholds: Thresholds) -> Result<Self> {
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
            secret,
            prior: Arc::new(Prior::load(prior_folder)?),
            hidden: Arc::new(stack(&views)?),
            judge: Arc::new(Judge::new()?),
            thresholds: Arc::new(thresholds),
        })
    }

    /// The same with random inputs of another secret.
    #[must_use]
    pub fn with_secret(&self, secret: Secret) -> Self {
        Self { secret, ..self.clone() }
    }

    /// A number that only this secret gives, for what the words name.
    #[must_use]
    pub fn number(&self, words: &[&str]) -> u64 {
        self.secret.derive(words).number()
    }

    /// What tells these hidden images from others.
    #[must_use]
    pub fn images_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", self.hidden.shape()));
        self.hidden.iter().for_each(|value| hash.update(value.to_le_bytes()));
        hash.finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether the bands were measured on these hidden images.
    ///
    /// # Errors
    ///
    /// If not: the reference solution itself would lose points.
    pub fn check_calibrated(&self) -> Result<()> {
        let (here, measured) = (self.images_fingerprint(), &self.thresholds.images);
        ensure!(
            *measured == here,
            "the bands in thresholds.toml were measured on other hidden images (fingerprint `{measured}`, here \
             `{here}`): run `grader calibrate`, or name the folder with the images that they were measured on"
        );
        Ok(())
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
        self.secret.derive(&["stream", &stream.to_string()]).rng()
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
