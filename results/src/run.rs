//! What is compared, and how one of them runs on one case: the methods of the registry, and on the denoising cases a
//! few columns of their own.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cli::Progress;
use diffusion::{FiniteCheck, ScoreModel};
use imaging::{ForwardOperator, Noise, Symmetry, measure, sampler_rng};
use methods::stepping::{Cost, Stepping};
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array4, Axis};
use score_unet::Prior;

use crate::denoising::{DENOISERS, Denoiser};
use crate::problems::{Case, ImageSet};

/// Measured on the photographs only: they tell what more samples or more steps would bring.
const PHOTOGRAPHS_ONLY: [&str; 4] = ["dps-few-times", "dps-mean", "dps-mean-long", "dps-long"];
/// The pinned measurement noise.
const NOISE: Noise = Noise::Gaussian { sigma: Noise::SIGMA };
/// Images in one call of a method: a larger batch is no faster for each image, and takes more memory.
const BATCH: usize = 16;

/// To be raised when other results come of the same settings, as when random numbers are drawn in another way.
const VERSION: u32 = 2;

/// One line of a case in the tables.
#[derive(Clone, Copy)]
pub enum Method {
    Denoiser(&'static Denoiser),
    Posterior(&'static dyn PosteriorMethod),
}

impl Method {
    /// In the order of the tables.
    pub fn all() -> impl Iterator<Item = Self> {
        let denoisers = DENOISERS.iter().map(Self::Denoiser);
        denoisers.chain(registry::posterior_methods().iter().copied().map(Self::Posterior))
    }

    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denoiser(denoiser) => denoiser.name,
            Self::Posterior(method) => method.name(),
        }
    }

    /// The method of that name.
    pub fn find(name: &str) -> Result<Self> {
        let found = Self::all().find(|method| method.name() == name);
        found.with_context(|| format!("no method is called `{name}`"))
    }
}

/// What all runs of one set of images share.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub prior: &'a Prior,
    /// Tells one version of the prior's weights from another.
    pub fingerprint: &'a str,
    pub cases: &'a [Case],
    pub set: &'a ImageSet,
    pub stepping: Stepping,
}

/// One method on one case, with one seed.
pub struct Run<'a> {
    setting: Setting<'a>,
    pub case: Case,
    pub seed: u64,
    work: Work,
}

/// What there is to do.
enum Work {
    Denoise {
        denoiser: &'static Denoiser,
        t: usize,
    },
    Reconstruct {
        method: &'static dyn PosteriorMethod,
        operator: Box<dyn ForwardOperator>,
    },
}

impl<'a> Run<'a> {
    /// None where the method has no place in the table of this case and set.
    pub fn new(setting: Setting<'a>, case: &Case, method: Method, seed: u64) -> Result<Option<Self>> {
        let shipped = setting.set.name == ImageSet::SHIPPED;
        let work = match (case, method) {
            (&Case::Denoising { t }, Method::Denoiser(denoiser)) => Work::Denoise { denoiser, t },
            (Case::Inverse { operator }, Method::Posterior(method))
                if !(shipped && PHOTOGRAPHS_ONLY.contains(&method.name())) =>
            {
                let operator = operator.build(setting.prior.image_shape(), seed)?;
                if method.supports(operator.as_ref()).is_err() {
                    return Ok(None);
                }
                Work::Reconstruct { method, operator }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            setting,
            case: case.clone(),
            seed,
            work,
        }))
    }

    /// What the tables call the method.
    pub fn title(&self) -> String {
        match &self.work {
            Work::Denoise { denoiser, .. } => denoiser.title.to_owned(),
            Work::Reconstruct { method, .. } => method.title(),
        }
    }

    /// What its measurement cannot tell, and its reconstructions are not judged by.
    pub fn symmetry(&self) -> Symmetry {
        match &self.work {
            Work::Denoise { .. } => Symmetry::None,
            Work::Reconstruct { operator, .. } => Symmetry::of(operator.kind()),
        }
    }

    /// Where its reconstructions are kept.
    pub fn path(&self) -> PathBuf {
        let (case, seed) = (self.case.to_string(), format!("seed-{}", self.seed));
        [self.setting.set.name, &case, &self.title(), &seed].iter().collect()
    }

    /// All that its result depends on.
    pub fn settings(&self) -> Result<String> {
        let Setting {
            prior,
            fingerprint,
            set,
            stepping,
            ..
        } = self.setting;
        let own = match &self.work {
            Work::Denoise { t, .. } => format!("t {t}"),
            Work::Reconstruct { method, operator } => {
                let own = method.settings(operator.as_ref(), prior.schedule(), stepping.num_steps)?;
                let (name, description) = (operator.name(), operator.description());
                format!("{name} {description}; {NOISE}; {own}; batches of {BATCH}")
            }
        };
        // A GPU rounds differently, so what it made is not taken for the CPU's.
        let device = if prior.is_on_gpu() { "; on a GPU" } else { "" };
        Ok(format!(
            "version {VERSION}; prior {} {fingerprint}; {stepping:?}; {own}; {} images {}; seed {}{device}",
            prior.name(),
            set.images.len(),
            set.fingerprint,
            self.seed
        ))
    }

    /// What one image costs.
    pub fn cost(&self) -> Result<Cost> {
        let Setting { prior, stepping, .. } = self.setting;
        match &self.work {
            Work::Denoise { denoiser, .. } => Ok(denoiser.cost()),
            Work::Reconstruct { method, operator } => {
                Ok(method.cost(operator.as_ref(), prior.schedule(), stepping.num_steps)?)
            }
        }
    }

    /// How many observed steps [`Self::solve`] takes.
    pub fn observed_steps(&self) -> Result<usize> {
        match &self.work {
            Work::Denoise { .. } => Ok(0),
            Work::Reconstruct { .. } => Ok(self.cost()?.evaluations * self.setting.set.images.len().div_ceil(BATCH)),
        }
    }

    /// The reconstructions of the whole set.
    pub fn solve(&self, progress: &mut Progress) -> Result<Array4<f32>> {
        let Setting { prior, set, .. } = self.setting;
        match &self.work {
            Work::Denoise { denoiser, t } => denoiser.run(prior, &set.batch, *t, self.seed),
            Work::Reconstruct { method, operator } => self.reconstruct(*method, operator.as_ref(), progress),
        }
    }

    fn reconstruct(
        &self,
        method: &dyn PosteriorMethod,
        operator: &dyn ForwardOperator,
        progress: &mut Progress,
    ) -> Result<Array4<f32>> {
        let Setting {
            prior, set, stepping, ..
        } = self.setting;
        let sigma = Noise::SIGMA;
        let b = measure(operator, &set.batch, NOISE, self.seed, 0)?;
        let mut images = Array4::zeros(set.batch.dim());
        let chunks = b.axis_chunks_iter(Axis(0), BATCH).enumerate();
        for (mut images, (chunk, b)) in images.axis_chunks_iter_mut(Axis(0), BATCH).zip(chunks) {
            let b = &b.to_owned();
            let problem = Problem { operator, b, sigma };
            let rng = &mut sampler_rng(self.seed, chunk * BATCH, 0);
            let observer = &mut (FiniteCheck, &mut *progress);
            images.assign(&method.solve(prior, &problem, stepping, rng, observer)?);
            progress.next_run();
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use cli::data_folder;
    use diffusion::StepVariance;
    use imaging::NamedImage;
    use ndarray::Array3;

    use super::*;

    #[test]
    fn every_method_is_found_by_its_name_and_no_two_share_one() -> Result<()> {
        let names: Vec<&str> = Method::all().map(Method::name).collect();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(Method::find(name)?.name(), *name);
            assert!(!names[..place].contains(name), "{name}");
        }
        assert!(PHOTOGRAPHS_ONLY.iter().all(|name| names.contains(name)));
        assert!(Method::find("dsp").is_err());
        Ok(())
    }

    /// Images of the same name, or the same mask with another seed, are no reason to take what was kept.
    #[test]
    fn what_is_kept_is_known_by_all_that_it_depends_on() -> Result<()> {
        let prior = Prior::load(&data_folder()?.join("priors/fruits64"))?;
        let set = |value| {
            let image = NamedImage {
                name: "a.png".into(),
                pixels: Array3::from_elem((3, 64, 64), value),
                adapted: None,
            };
            ImageSet::new("photographs", "one image".into(), vec![image])
        };
        let settings = |set: &ImageSet, num_steps, seed| {
            let setting = Setting {
                prior: &prior,
                fingerprint: "0123",
                cases: &[],
                set,
                stepping: Stepping {
                    num_steps,
                    variance: Some(StepVariance::Beta),
                },
            };
            let inpainting = Case::Inverse {
                operator: "inpainting:0.7".parse()?,
            };
            let run = Run::new(setting, &inpainting, Method::find("dps")?, seed)?.context("a run")?;
            run.settings()
        };
        let (grey, brighter) = (set(0.0)?, set(0.1)?);
        let known = settings(&grey, 10, 0)?;
        assert_eq!(known, settings(&set(0.0)?, 10, 0)?);
        for other in [
            settings(&brighter, 10, 0)?,
            settings(&grey, 20, 0)?,
            settings(&grey, 10, 1)?,
        ] {
            assert_ne!(known, other);
        }
        assert!(known.contains("gaussian:0.05"), "the measurement noise: {known}");
        Ok(())
    }

    #[test]
    fn what_phase_retrieval_cannot_tell_is_not_held_against_a_reconstruction() -> Result<()> {
        let prior = Prior::load(&data_folder()?.join("priors/fruits64"))?;
        let image = NamedImage {
            name: "a.png".into(),
            pixels: Array3::zeros((3, 64, 64)),
            adapted: None,
        };
        let set = ImageSet::new("photographs", "one image".into(), vec![image])?;
        let setting = Setting {
            prior: &prior,
            fingerprint: "0123",
            cases: &[],
            set: &set,
            stepping: Stepping::new(10),
        };
        let symmetry = |name: &str, method| -> Result<Symmetry> {
            let operator = name.parse()?;
            let run = Run::new(setting, &Case::Inverse { operator }, Method::find(method)?, 0)?;
            Ok(run.context("a run")?.symmetry())
        };
        assert_eq!(symmetry("phase-retrieval", "dps")?, Symmetry::HalfTurn);
        assert_eq!(symmetry("inpainting", "dps")?, Symmetry::None);
        Ok(())
    }
}
