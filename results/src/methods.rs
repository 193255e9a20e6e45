//! What is compared: the tasks' reference solutions with their tuned settings, and the classical methods.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use cli::Progress;
use diffusion::{FiniteCheck, Schedule, ScoreModel};
use imaging::{ForwardOperator, Lambdas, Noise, OperatorSpec, best_gaussian_blur, measure, tikhonov, total_variation};
use ndarray::{Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;
use task5_score_ald::Guidance;

use crate::problems::{Case, ImageSet};

/// One column of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The noisy image itself.
    Noisy,
    /// The best Gaussian blur, which may look at the answer.
    Blur,
    /// Task 2.
    Denoise,
    /// Maximum likelihood: A^+ b.
    PseudoInverse,
    /// Least squares with a penalty on squared differences of neighbours.
    Tikhonov,
    /// Least squares with total variation.
    TotalVariation,
    /// Task 4.
    Sdedit,
    /// Task 5.
    ScoreAld,
    /// Task 6.
    Dps,
    /// The mean of several samples of task 6, with as many calls of the network as one.
    DpsMean,
    /// Task 6 with more steps.
    DpsLong,
}

/// How many samples [`Method::DpsMean`] takes the mean of.
const SAMPLES: usize = 4;
/// How many times as many steps [`Method::DpsLong`] takes as the others.
const LONGER: usize = 4;

impl Method {
    pub const ALL: [Self; 11] = [
        Self::Noisy,
        Self::Blur,
        Self::Denoise,
        Self::PseudoInverse,
        Self::Tikhonov,
        Self::TotalVariation,
        Self::Sdedit,
        Self::ScoreAld,
        Self::Dps,
        Self::DpsMean,
        Self::DpsLong,
    ];

    /// What the tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Noisy => "noisy",
            Self::Blur => "best Gaussian blur",
            Self::Denoise => "task 2, one step",
            Self::PseudoInverse => "pseudo-inverse (ML)",
            Self::Tikhonov => "Tikhonov (MAP)",
            Self::TotalVariation => "total variation (MAP)",
            Self::Sdedit => "task 4, SDEdit",
            Self::ScoreAld => "task 5, Score-ALD",
            Self::Dps => "task 6, DPS",
            Self::DpsMean => "task 6, mean of 4 samples",
            Self::DpsLong => "task 6, DPS, 4 x as many steps",
        }
    }

    /// Whether it belongs in the table of a set. What costs most is measured on the photographs only.
    pub fn applies_to(self, case: &Case, set: &ImageSet) -> bool {
        let denoises = matches!(self, Self::Noisy | Self::Blur | Self::Denoise);
        let costly = matches!(self, Self::DpsMean | Self::DpsLong);
        denoises == matches!(case, Case::Denoising { .. }) && !(costly && set.name == ImageSet::SHIPPED)
    }
}

/// One method on one case, with one seed.
pub struct Run<'a> {
    pub prior: &'a Prior,
    /// Tells one version of the prior's weights from another.
    pub fingerprint: &'a str,
    pub set: &'a ImageSet,
    pub case: &'a Case,
    pub method: Method,
    pub seed: u64,
    pub num_steps: usize,
}

impl Run<'_> {
    /// Where its reconstructions are kept.
    pub fn path(&self) -> PathBuf {
        [
            self.set.name,
            &self.case.to_string(),
            self.method.title(),
            &format!("seed-{}", self.seed),
        ]
        .iter()
        .collect()
    }

    /// All that its result depends on.
    pub fn settings(&self) -> String {
        let names: Vec<&str> = self.set.images.iter().map(|image| image.name.as_str()).collect();
        let own = match (self.method, self.case) {
            (Method::Sdedit, Case::Inverse { operator, .. }) => {
                format!("{:?}", task4_sdedit::tuned(operator.kind()))
            }
            (Method::ScoreAld, _) => format!("{:?}", self.guidance()),
            (Method::Dps, Case::Inverse { operator, .. }) => {
                format!("{:?}", task6_dps::tuned(operator.kind(), self.num_steps))
            }
            (Method::DpsMean | Method::DpsLong, Case::Inverse { operator, .. }) => {
                let (samples, steps) = self.samples_and_steps();
                format!(
                    "{samples} of {steps} steps, {:?}",
                    task6_dps::tuned(operator.kind(), steps)
                )
            }
            _ => String::new(),
        };
        // A GPU rounds differently, so what it made is not taken for the CPU's.
        let device = if self.prior.is_on_gpu() { "; on a GPU" } else { "" };
        format!(
            "prior {} {}; {} steps; {own}; {}{device}",
            self.prior.name(),
            self.fingerprint,
            self.num_steps,
            names.join(" ")
        )
    }

    /// How many observed steps [`Self::solve`] takes.
    pub fn evaluations(&self) -> Result<usize> {
        Ok(match (self.method, self.case) {
            (Method::ScoreAld, _) => self.num_steps,
            (Method::Dps | Method::DpsMean | Method::DpsLong, _) => {
                let (samples, steps) = self.samples_and_steps();
                samples * steps
            }
            (Method::Sdedit, Case::Inverse { operator, .. }) => {
                let tuned = task4_sdedit::tuned(operator.kind());
                tuned.repeats * task4_sdedit::steps_from(self.schedule(), tuned.t0, self.num_steps)?.len()
            }
            _ => 0,
        })
    }

    /// The shape of the reconstructions of the measurements `b`.
    fn batch_shape(&self, b: &Array4<f32>) -> [usize; 4] {
        let [channels, height, width] = self.prior.image_shape();
        [b.dim().0, channels, height, width]
    }

    /// How many samples of DPS are drawn, and the steps of each: several share the calls of the network that one has.
    fn samples_and_steps(&self) -> (usize, usize) {
        match self.method {
            Method::DpsMean => (SAMPLES, (self.num_steps / SAMPLES).max(1)),
            Method::DpsLong => (1, (LONGER * self.num_steps).min(self.schedule().num_steps())),
            _ => (1, self.num_steps),
        }
    }

    fn schedule(&self) -> &Schedule {
        self.prior.schedule()
    }

    /// Both operators of the table stretch no image: their norm is 1.
    fn guidance(&self) -> Guidance {
        Guidance {
            sigma: Noise::SIGMA,
            lambda: task5_score_ald::tuned_lambda(self.num_steps, 1.0),
        }
    }

    /// The reconstructions of the whole set.
    pub fn solve(&self, progress: &mut Progress) -> Result<Array4<f32>> {
        match self.case {
            Case::Denoising { t } => self.denoise(*t),
            Case::Inverse { operator, .. } => self.invert(operator, progress),
        }
    }

    fn denoise(&self, t: usize) -> Result<Array4<f32>> {
        let alpha_bar = self.schedule().alpha_bar(t);
        let truth = &self.set.batch;
        let eps = Array4::random_using(truth.dim(), StandardNormal, &mut StdRng::seed_from_u64(self.seed));
        let x_t = task2_denoise::forward_diffusion(truth, &eps, alpha_bar);
        let noisy = &x_t / alpha_bar.sqrt() as f32;
        match self.method {
            Method::Noisy => Ok(noisy),
            Method::Denoise => Ok(task2_denoise::denoise(self.prior, &x_t, t)?),
            Method::Blur => {
                let mut blurred = noisy.clone();
                for ((mut image, noisy), truth) in
                    blurred.outer_iter_mut().zip(noisy.outer_iter()).zip(truth.outer_iter())
                {
                    image.assign(&best_gaussian_blur(&noisy, &truth)?.1);
                }
                Ok(blurred)
            }
            method => bail!("{} removes no noise", method.title()),
        }
    }

    fn invert(&self, spec: &OperatorSpec, progress: &mut Progress) -> Result<Array4<f32>> {
        let operator = spec.build(self.prior.image_shape(), self.seed)?;
        let operator = operator.as_ref();
        let sigma = Noise::SIGMA;
        // Apart from the seeds of the samplers, and apart for each seed.
        let first = 1_000_000 * (1 + self.seed as usize);
        let b = measure(operator, &self.set.batch, Noise::Gaussian { sigma }, 0, first)?;
        let lambdas = Lambdas::tuned(operator);
        match self.method {
            Method::PseudoInverse => Ok(operator.pseudo_inverse(&b)?),
            Method::Tikhonov => Ok(tikhonov(operator, &b, lambdas.tikhonov)?.images),
            Method::TotalVariation => Ok(total_variation(operator, &b, lambdas.total_variation)?.images),
            Method::Sdedit | Method::ScoreAld | Method::Dps | Method::DpsMean | Method::DpsLong => {
                // In parts of 16: a larger batch is no faster for each image, and takes more memory.
                let mut images = Array4::zeros(self.set.batch.dim());
                for (mut images, b) in images
                    .axis_chunks_iter_mut(Axis(0), 16)
                    .zip(b.axis_chunks_iter(Axis(0), 16))
                {
                    images.assign(&self.sample(spec, operator, &b.to_owned(), progress)?);
                    progress.next_run();
                }
                Ok(images)
            }
            method => bail!("{} inverts nothing", method.title()),
        }
    }

    fn sample(
        &self,
        spec: &OperatorSpec,
        operator: &dyn ForwardOperator,
        b: &Array4<f32>,
        progress: &mut Progress,
    ) -> Result<Array4<f32>> {
        let rng = &mut StdRng::seed_from_u64(self.seed);
        let observer = &mut (FiniteCheck, progress);
        match self.method {
            Method::Sdedit => {
                let tuned = task4_sdedit::tuned(spec.kind());
                let steps = task4_sdedit::steps_from(self.schedule(), tuned.t0, self.num_steps)?;
                task4_sdedit::restore(self.prior, operator, b, &steps, tuned.repeats, rng, observer)
            }
            Method::ScoreAld => {
                let steps = self.schedule().steps(self.num_steps)?;
                task5_score_ald::score_ald(self.prior, operator, b, self.guidance(), &steps, rng, observer)
            }
            _ => {
                let (samples, num_steps) = self.samples_and_steps();
                let steps = self.schedule().steps(num_steps)?;
                let step_size = task6_dps::StepSize::Normalised(task6_dps::tuned(spec.kind(), num_steps));
                let mut sum = Array4::zeros(self.batch_shape(b));
                for _ in 0..samples {
                    sum += &task6_dps::dps(self.prior, operator, b, step_size, &steps, rng, observer)?;
                }
                Ok(sum / samples as f32)
            }
        }
    }
}
