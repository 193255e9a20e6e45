//! The models that submissions ask: the prior, and small ones with scores in closed form. They are the grader's own; a
//! worker knows of them their images' shape and their schedule.

use anyhow::{Result, bail};
use diffusion::{GaussianMixtureModel, Schedule, ScoreModel};
use exchange::{Message, SMALL_SHAPE};
use ndarray::{Array, Array1, Array2, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::{StandardNormal, Uniform};

use super::Bench;

/// What requests call the trained network.
pub const PRIOR: &str = "prior";
/// What they call the small model on the course's schedule, and on another one.
pub const SMALL: &str = "small";
pub const COSINE: &str = "cosine";

/// A model of a request.
pub enum Model<'a> {
    /// One with scores in closed form.
    Small(Box<GaussianMixtureModel>),
    /// The trained network.
    Prior(&'a score_unet::Prior),
}

impl Model<'_> {
    /// As samplers take it.
    #[must_use]
    pub fn as_dyn(&self) -> &dyn ScoreModel {
        match self {
            Self::Small(model) => model.as_ref(),
            Self::Prior(prior) => *prior,
        }
    }
}

/// The model that a request's text `model` names, if it has one: `prior`, `small` or `cosine`.
///
/// # Errors
///
/// An unknown name.
pub fn model<'a>(bench: &'a Bench, request: &Message) -> Result<Option<Model<'a>>> {
    match request.texts.get("model").map(String::as_str) {
        None | Some(exchange::PROBE) => Ok(None),
        Some(PRIOR) => Ok(Some(Model::Prior(&bench.prior))),
        Some(SMALL) => Ok(Some(Model::Small(Box::new(small_model(bench)?)))),
        Some(COSINE) => Ok(Some(Model::Small(Box::new(small_model_on(
            Schedule::cosine(1000)?,
            bench,
        )?)))),
        Some(other) => bail!("`{other}` is no model"),
    }
}

/// A request as the worker gets it: of its model only what any sampler knows.
#[must_use]
pub fn for_worker(request: &Message, model: Option<&Model<'_>>) -> Message {
    let Some(model) = model else { return request.clone() };
    let [c, h, w] = model.as_dyn().image_shape();
    let is_cosine = request.texts.get("model").is_some_and(|name| name == COSINE);
    let schedule = if is_cosine { "cosine" } else { "linear" };
    request
        .clone()
        .with("model", "asked")
        .with("shape", format!("{c} {h} {w}"))
        .with("schedule", schedule)
}

/// A prior with a score in closed form, a mixture of three Gaussians with means and variances that nobody can guess, on
/// the course's schedule.
///
/// # Errors
///
/// Does not fail: the parameters fit together.
pub fn small_model(bench: &Bench) -> Result<GaussianMixtureModel> {
    small_model_on(Schedule::linear(), bench)
}

fn small_model_on(schedule: Schedule, bench: &Bench) -> Result<GaussianMixtureModel> {
    let rng = &mut bench.secret.derive(&["small model"]).rng();
    let d = SMALL_SHAPE.iter().product();
    let means: Array2<f64> = Array::random_using((3, d), StandardNormal, rng) * 0.4;
    let variances = Array::random_using((3, d), Uniform::new(0.02, 0.2)?, rng);
    let weights: Array1<f64> = array![0.5, 0.3, 0.2];
    Ok(GaussianMixtureModel::new(
        schedule,
        SMALL_SHAPE,
        weights,
        means,
        variances,
    )?)
}
