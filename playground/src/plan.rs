//! From what somebody wishes for to what can be done, or to the sentence that says why it cannot.

use anyhow::{Context, Result, bail, ensure};
use diffusion::{Schedule, ScoreModel, StepVariance};
use imaging::{ForwardOperator, Inpainting, Noise, OperatorSpec, known_operators};
use methods::stepping::Stepping;
use ndarray::{Array2, Array3};

use crate::command;
use crate::fields::{number, shortened, whole};
use crate::knobs::{self, Settings};
use crate::picture::{image_of, mask_of};
use crate::solver::{Drawer, Solver};
use crate::wish::{DrawnImage, Task, Wish};

/// The operator that the page draws: what the mask covers is missing.
pub const DRAWN_HOLE: &str = "drawn-hole";
/// So many results stand side by side at most.
pub const MOST_SAMPLES: u64 = 8;
/// Where SDEdit begins if nobody says otherwise, as a share of the prior's times: within what the paper recommends.
const USUAL_T0: f64 = 0.5;

/// A run, with nothing left that could be wrong with what was asked for.
#[derive(Debug)]
pub struct Plan {
    /// What is done.
    pub work: Work,
    /// How many steps, with which noise.
    pub stepping: Stepping,
    /// Where the random numbers start.
    pub seed: u64,
    /// How many results.
    pub samples: usize,
    /// How often the network is called, all samples together; a call may be for several images.
    pub evaluations: usize,
    /// What the method is set to, in words; may be empty.
    pub settings: String,
    /// The command line that does the same.
    pub command: String,
}

/// What a run does.
#[derive(Debug)]
pub enum Work {
    /// Draws new images.
    Generate(Drawer),
    /// Edits an image.
    Edit(Edit),
    /// Measures an image, and reconstructs it.
    Reconstruct(Box<Reconstruction>),
}

/// An edit by SDEdit.
#[derive(Debug)]
pub struct Edit {
    /// `[C, H, W]`, in [-1, 1].
    pub guide: Array3<f32>,
    /// `[H, W]`, 1 where it may change; none where everything may.
    pub mask: Option<Array2<f32>>,
    /// The time that the guide is noised to.
    pub t0: usize,
    /// How many passes.
    pub repeats: usize,
}

/// An inverse problem, and what solves it.
#[derive(Debug)]
pub struct Reconstruction {
    /// The image that is measured, `[C, H, W]`, in [-1, 1].
    pub truth: Array3<f32>,
    /// What measures it.
    pub operator: Box<dyn ForwardOperator>,
    /// What is added.
    pub noise: Noise,
    /// Its standard deviation.
    pub sigma: f64,
    /// What solves it.
    pub solver: Solver,
}

impl Plan {
    /// What is to be done on this prior.
    ///
    /// - `name`: what the prior is called, for the command line
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the wish, in a sentence: a number out of range, an image or a mask of another size, an
    /// operator or a method that is not there, a method that cannot do the operator.
    pub fn of(wish: &Wish, prior: &dyn ScoreModel, name: &str) -> Result<Self> {
        let schedule = prior.schedule();
        let stepping = stepping(wish, schedule)?;
        let samples = whole("samples", &wish.samples, 1..=MOST_SAMPLES)? as usize;
        let seed = whole("seed", &wish.seed, 0..=u64::MAX)?;
        let (work, evaluations, settings) = match wish.task {
            Task::Generate => generate(wish, stepping)?,
            Task::Edit => edit(wish, prior, stepping)?,
            Task::Reconstruct => reconstruct(wish, prior, stepping, seed)?,
        };
        // Where a call of the network is for all samples, it is one call.
        let calls = match wish.task {
            Task::Generate | Task::Edit => evaluations,
            Task::Reconstruct => evaluations * samples,
        };
        Ok(Self {
            command: command::of(wish, &work, name, stepping, seed),
            work,
            stepping,
            seed,
            samples,
            evaluations: calls,
            settings,
        })
    }
}

fn stepping(wish: &Wish, schedule: &Schedule) -> Result<Stepping> {
    let num_steps = whole("steps", &wish.steps, 1..=schedule.num_steps() as u64)?;
    let variance = match wish.variance.as_str() {
        "" => None,
        "beta" => Some(StepVariance::Beta),
        "posterior" => Some(StepVariance::Posterior),
        other => bail!(
            "the noise of a step: expected `beta`, `posterior` or nothing, got `{}`",
            shortened(other)
        ),
    };
    Ok(Stepping {
        num_steps: num_steps as usize,
        variance,
    })
}

fn generate(wish: &Wish, stepping: Stepping) -> Result<(Work, usize, String)> {
    let settings = Settings::read(knobs::of_method(&wish.method), &wish.settings)?;
    let drawer = Drawer::new(&wish.method, &settings)?;
    let evaluations = drawer.sampler().evaluations(stepping.num_steps);
    let words = drawer.sampler().settings();
    Ok((Work::Generate(drawer), evaluations, words))
}

fn edit(wish: &Wish, prior: &dyn ScoreModel, stepping: Stepping) -> Result<(Work, usize, String)> {
    let guide = pixels(wish, prior)?;
    let last = prior.schedule().num_steps();
    let settings = Settings::read(knobs::OF_EDITS, &wish.settings)?;
    let t0 = settings.count("t0").unwrap_or((USUAL_T0 * last as f64).ceil() as usize);
    ensure!(t0 <= last, "t0: expected a whole number from 1 to {last}, got `{t0}`");
    let repeats = settings.count("repeats").unwrap_or(1);
    let evaluations = repeats * task4_sdedit::steps_from(prior.schedule(), t0, stepping.num_steps)?.len();
    let work = Work::Edit(Edit {
        guide,
        mask: drawn_mask(wish, prior)?.map(|mask| mask.mapv(|may_change| if may_change { 1.0 } else { 0.0 })),
        t0,
        repeats,
    });
    Ok((work, evaluations, format!("t0 {t0}, repeats {repeats}")))
}

fn reconstruct(wish: &Wish, prior: &dyn ScoreModel, stepping: Stepping, seed: u64) -> Result<(Work, usize, String)> {
    let truth = pixels(wish, prior)?;
    let sigma = number("noise", &wish.noise, 0.0..=10.0)?;
    let noise = if sigma == 0.0 {
        Noise::None
    } else {
        Noise::Gaussian { sigma }
    };
    let operator = operator(wish, prior, seed)?;
    let (schedule, num_steps) = (prior.schedule(), stepping.num_steps);
    let settings = Settings::read(knobs::of_method(&wish.method), &wish.settings)?;
    let solver = Solver::new(&wish.method, &settings, operator.as_ref(), schedule)?;
    let evaluations = solver.evaluations(operator.as_ref(), schedule, num_steps)?;
    let words = solver.settings(operator.as_ref(), schedule, num_steps)?;
    let work = Work::Reconstruct(Box::new(Reconstruction {
        truth,
        operator,
        noise,
        sigma,
        solver,
    }));
    Ok((work, evaluations, words))
}

fn pixels(wish: &Wish, prior: &dyn ScoreModel) -> Result<Array3<f32>> {
    let DrawnImage { rgb, .. } = wish.image.as_ref().context("there is no image: choose or draw one")?;
    image_of(rgb, prior.image_shape())
}

/// True where something is drawn; none where nothing is.
fn drawn_mask(wish: &Wish, prior: &dyn ScoreModel) -> Result<Option<Array2<bool>>> {
    if wish.mask.is_empty() {
        return Ok(None);
    }
    let mask = mask_of(&wish.mask, prior.image_shape())?;
    Ok(mask.iter().any(|&drawn| drawn).then_some(mask))
}

fn operator(wish: &Wish, prior: &dyn ScoreModel, seed: u64) -> Result<Box<dyn ForwardOperator>> {
    if wish.operator == DRAWN_HOLE {
        let mask = drawn_mask(wish, prior)?;
        let mask = mask.context("no hole is drawn: paint what is to be missing, or choose another operator")?;
        return Ok(Box::new(Inpainting::from_mask(
            prior.image_shape(),
            &mask.mapv(|missing| !missing),
        )?));
    }
    let name = wish.operator.split(':').next().unwrap_or_default().trim();
    let reads_file = known_operators().any(|known| known.name == name && reads_file(known.syntax));
    ensure!(
        !reads_file,
        "`{name}` reads a file, and the page reads none: draw the mask here, or use the command line"
    );
    let spec: OperatorSpec = wish.operator.parse()?;
    Ok(spec.build(prior.image_shape(), seed)?)
}

/// Whether an operator with this syntax is made from a file.
pub(crate) fn reads_file(syntax: &str) -> bool {
    syntax.contains("FILE")
}
