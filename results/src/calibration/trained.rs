//! Calibration on a trained prior: images that are drawn from it are exact draws of what it believes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cli::{Progress, Session, check_interrupted, data_folder, find_prior};
use diffusion::{FiniteCheck, ScoreModel, observe_with};
use imaging::{ForwardOperator, Noise, OperatorSpec, measure, sampler_rng};
use methods::calibration::quantities::{Observation, Quantities, Trial, reference_points, repeated};
use methods::calibration::summary::Summary;
use methods::stepping::{Cost, Stepping};
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array4, Axis, Slice};
use score_unet::Prior;

use crate::calibration::line::Line;
use crate::calibration::table::Setting;
use crate::calibration::{Options, file_name, kept, markdown, save};
use crate::store::{self, Store};

/// Methods that are measured where none is named.
const METHODS: [&str; 4] = ["dps", "pigdm", "daps", "diffpir"];
const NOISE: Noise = Noise::Gaussian { sigma: Noise::SIGMA };
/// What draws exactly: in all steps of the prior.
const EXACT: &str = "ancestral";
/// Images of the prior that are drawn at a time.
const BATCH: usize = 8;
/// To be raised when other results come of the same settings.
const VERSION: u32 = 1;
/// The number of each stream of random numbers; truths and samples that begin at the same noise would be alike.
const TRUTHS: u64 = 0;
const REFERENCES: u64 = 1;
const SAMPLES: u64 = 2;

/// Measures image by image, each by all methods, so that all have seen the same images whenever it is stopped.
pub fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let setting = options.setting(200);
    let fingerprint = store::fingerprint_of_prior(&find_prior(&options.common.prior, data_folder())?)?;
    let study = Trained {
        prior: &prior,
        fingerprint,
        setting: &setting,
        folder: session.out().join("calibration"),
        store: Store::new(&session.out().join("calibration")),
    };
    let methods = options.methods(registry::posterior_methods(), |name| METHODS.contains(&name));
    let operators = study.operators(&options.operator)?;
    let mut columns = Vec::new();
    for (name, operator) in &operators {
        for &method in &methods {
            match method.supports(operator.as_ref()) {
                Ok(()) => columns.push(Column::new(&study, name, operator.as_ref(), method)?),
                Err(why) => session.note(&format!("{why}: it is left out there")),
            }
        }
    }
    session.note(&format!(
        "everything is kept in `{}` as soon as it is there: the same command goes on where it was stopped",
        study.folder.display()
    ));
    let outcome = look_at_all(&study, &mut columns, |lines| save(&setting, lines, options, session));
    // Whatever ended it, the tables hold what was done by then.
    let lines = lines(&columns);
    save(&setting, &lines, options, session)?;
    outcome?;
    cli::print_text(&markdown(&setting, &lines));
    Ok(())
}

/// Image by image, each by all methods; whenever something new is known of all, it is handed on.
fn look_at_all(
    study: &Trained<'_>,
    columns: &mut [Column<'_>],
    mut tell: impl FnMut(&[Line]) -> Result<()>,
) -> Result<()> {
    let progress = &mut Progress::new("calibration", study.work_left(columns)?);
    let references = study.images(REFERENCES, 0, progress)?;
    let images = study.setting.images;
    for first in (0..images).step_by(BATCH) {
        let truths = study.images(TRUTHS, first, progress)?;
        for index in 0..BATCH.min(images - first) {
            let one = |images: &Array4<f32>| images.slice_axis(Axis(0), Slice::from(index..=index)).to_owned();
            let mut is_new = false;
            for column in &mut *columns {
                is_new |= column.look_at(study, first + index, &one(&truths), &one(&references), progress)?;
            }
            if is_new {
                tell(&lines(columns))?;
            }
        }
    }
    Ok(())
}

fn lines(columns: &[Column<'_>]) -> Vec<Line> {
    columns.iter().filter_map(Column::line).collect()
}

/// What all columns share.
struct Trained<'a> {
    prior: &'a Prior,
    /// Tells one version of the prior's weights from another.
    fingerprint: String,
    setting: &'a Setting,
    folder: PathBuf,
    store: Store,
}

impl Trained<'_> {
    fn operators(&self, specs: &[OperatorSpec]) -> Result<Vec<(String, Box<dyn ForwardOperator>)>> {
        let build = |spec: &OperatorSpec| {
            let operator = spec.build(self.prior.image_shape(), self.setting.seed)?;
            Ok((spec.to_string(), operator))
        };
        specs.iter().map(build).collect()
    }

    /// What everything depends on.
    fn settings(&self) -> String {
        let Self { prior, fingerprint, .. } = self;
        let device = if prior.is_on_gpu() { "; on a GPU" } else { "" };
        let seed = self.setting.seed;
        format!(
            "version {VERSION}; prior {} {fingerprint}; seed {seed}{device}",
            prior.name()
        )
    }

    fn steps_of_exact(&self) -> usize {
        self.prior.schedule().num_steps()
    }

    fn path_of_images(&self, stream: u64, first: usize) -> PathBuf {
        let name = if stream == TRUTHS { "truths" } else { "references" };
        [name, &first.to_string()].iter().collect()
    }

    /// A batch of the prior's own images; kept ones, if they are there.
    fn images(&self, stream: u64, first: usize, progress: &mut Progress) -> Result<Array4<f32>> {
        let settings = format!("{}; {EXACT} in {} steps", self.settings(), self.steps_of_exact());
        let kept = self.store.get_or(&self.path_of_images(stream, first), &settings, || {
            let stepping = Stepping::new(self.steps_of_exact());
            let rng = &mut sampler_rng(self.setting.seed, first, stream);
            let mut observer = (FiniteCheck, observe_with(|_| check_interrupted()));
            let images = registry::sampler(EXACT)?.sample(self.prior, BATCH, stepping, rng, &mut observer)?;
            progress.add(BATCH * self.steps_of_exact(), "images of the prior");
            Ok(images)
        })?;
        Ok(kept.images)
    }

    /// Network passes of single images that a run has to make: kept results cost nothing.
    fn work_left(&self, columns: &[Column<'_>]) -> Result<usize> {
        let images = self.setting.images;
        let is_kept = |stream, first| self.store.has(&self.path_of_images(stream, first));
        let firsts = (0..images).step_by(BATCH).filter(|&first| !is_kept(TRUTHS, first));
        let batches = firsts.count() + usize::from(!is_kept(REFERENCES, 0));
        let mut work = batches * BATCH * self.steps_of_exact();
        for column in columns {
            let missing = (0..images).filter(|&place| column.kept(self, place).is_none());
            work += missing.count() * column.work;
        }
        Ok(work)
    }
}

/// One method on one operator, and what it told so far.
struct Column<'a> {
    problem: &'a str,
    operator: &'a dyn ForwardOperator,
    method: &'static dyn PosteriorMethod,
    quantities: Quantities<'a>,
    /// All that its observations depend on, but for the image.
    settings: String,
    /// Network passes for one image.
    work: usize,
    observations: Vec<Observation>,
}

impl<'a> Column<'a> {
    fn new(
        study: &Trained<'_>,
        problem: &'a str,
        operator: &'a dyn ForwardOperator,
        method: &'static dyn PosteriorMethod,
    ) -> Result<Self> {
        let (schedule, Setting { samples, steps, .. }) = (study.prior.schedule(), study.setting);
        let own = method.settings(operator, schedule, *steps)?;
        let Cost { evaluations, pullbacks } = method.cost(operator, schedule, *steps)?;
        let shared = study.settings();
        Ok(Self {
            problem,
            operator,
            method,
            quantities: Quantities::new(operator)?,
            settings: format!(
                "{shared}; {problem} {}; {NOISE}; {} {own}; {steps} steps; {samples} samples",
                operator.description(),
                method.name()
            ),
            work: samples * (evaluations + pullbacks),
            observations: Vec::new(),
        })
    }

    fn path(&self, study: &Trained<'_>, place: usize) -> PathBuf {
        let folder = study
            .folder
            .join("observations")
            .join(file_name(self.problem))
            .join(self.method.name());
        folder.join(format!("{place}.json"))
    }

    fn kept(&self, study: &Trained<'_>, place: usize) -> Option<Observation> {
        kept::read(&self.path(study, place), &self.settings)
    }

    /// Image number `place` of the prior, `[1, C, H, W]`, and one that has nothing to do with it; whether anything was
    /// computed.
    fn look_at(
        &mut self,
        study: &Trained<'_>,
        place: usize,
        truth: &Array4<f32>,
        reference: &Array4<f32>,
        progress: &mut Progress,
    ) -> Result<bool> {
        if let Some(observation) = self.kept(study, place) {
            self.observations.push(observation);
            return Ok(false);
        }
        let observation = self
            .observe(study, place, truth, reference)
            .with_context(|| format!("{} on {}, image {place}", self.method.name(), self.problem))?;
        kept::write(&self.path(study, place), &self.settings, &observation)?;
        self.observations.push(observation);
        progress.add(
            self.work,
            &format!("image {place}, {} on {}", self.method.name(), self.problem),
        );
        Ok(true)
    }

    fn observe(
        &self,
        study: &Trained<'_>,
        place: usize,
        truth: &Array4<f32>,
        reference: &Array4<f32>,
    ) -> Result<Observation> {
        let Setting {
            seed, samples, steps, ..
        } = *study.setting;
        let b = measure(self.operator, truth, NOISE, seed, place)?;
        let reference = reference_points(self.operator, reference, &b)?;
        let b = b.index_axis(Axis(0), 0);
        let problem = Problem {
            operator: self.operator,
            b: &repeated(&b, samples),
            sigma: Noise::SIGMA,
        };
        let rng = &mut sampler_rng(seed, place, SAMPLES);
        let mut observer = (FiniteCheck, observe_with(|_| check_interrupted()));
        let stepping = Stepping::new(steps);
        let drawn = self.method.solve(study.prior, &problem, stepping, rng, &mut observer)?;
        Ok(self.quantities.observe(&Trial {
            truth: truth.index_axis(Axis(0), 0),
            b,
            samples: &drawn,
            reference: reference.index_axis(Axis(0), 0),
        })?)
    }

    fn line(&self) -> Option<Line> {
        let summary = Summary::of(&self.observations)?;
        Some(Line::new(
            self.problem,
            &self.method.title(),
            &self.quantities.names(),
            &summary,
        ))
    }
}
