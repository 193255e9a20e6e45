//! Methods that no student writes: samplers, and ways from a measurement back to an image.
//!
//! A method has exactly one home. What a student writes is in `tasks/`, and is here only as an adapter that calls the
//! student's function; all others are here, one file each. Nothing in `shared/` or `tasks/` may depend on this crate.
//! It reads no files, prints nothing and knows no command line.
//!
//! | module | what is in it |
//! |---|---|
//! | [`samplers`] | new images from a prior: each file a [`Sampler`] |
//! | [`posterior`] | images that explain a measurement: each file a [`PosteriorMethod`], or a family of them |
//! | [`registry`] | all of them, by name |
//! | [`calibration`] | whether what they draw is the posterior |
//! | [`stepping`] | [`Stepping`], how many steps and with which noise; [`Cost`] |
//! | [`needs`] | [`Need`], what a method asks of operator and model |
//! | [`error`] | [`MethodError`] |
//!
//! ```
//! use diffusion::{GaussianModel, Schedule};
//! use methods::{registry, stepping::Stepping};
//! use ndarray::array;
//! use rand::SeedableRng;
//! use rand::rngs::StdRng;
//!
//! let prior = GaussianModel::diagonal(Schedule::linear(), [1, 1, 2], array![0.5, -0.5], array![0.2, 0.1])?;
//! let ddim = registry::sampler("ddim")?;
//! let mut rng = StdRng::seed_from_u64(0);
//! let images = ddim.sample(&prior, 4, Stepping::new(20), &mut rng, &mut ())?;
//! assert_eq!(images.dim(), (4, 1, 1, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt::Debug;

use diffusion::{Observer, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::stepping::{Cost, Stepping};

pub mod calibration;
pub mod error;
pub mod needs;
mod parts;
pub mod posterior;
pub mod registry;
pub mod samplers;
pub mod stepping;

/// A way to draw new images from a prior.
///
/// What is free in it is a public field of the type that implements this, so that a value of the type is a method with
/// its settings.
pub trait Sampler: Debug + Send + Sync {
    /// Its name in the registry and on a command line: `ddim`.
    fn name(&self) -> &'static str;

    /// What tables and figures call it.
    fn title(&self) -> String;

    /// Where it comes from: authors, year, title, equation.
    fn reference(&self) -> &'static str;

    /// What it is set to, in words, for reports and to tell one result from another; empty where nothing is free.
    fn settings(&self) -> String;

    /// How often the network is called when `num_steps` steps are asked for.
    fn evaluations(&self, num_steps: usize) -> usize;

    /// Draws `num_images` images, `[num_images, C, H, W]`.
    ///
    /// The first numbers drawn from `rng` are those of `x_T`, so that all samplers start at the same noise where they
    /// start with the same seed. The observer sees every step; the same seed gives the same images.
    ///
    /// # Errors
    ///
    /// Those of the model and of the observer; a number of steps that does not fit the model's schedule; settings out
    /// of range.
    fn sample(
        &self,
        model: &dyn ScoreModel,
        num_images: usize,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError>;
}

/// A measurement to be explained: `b = A(x) + noise`.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// `A`; its images have the model's shape.
    pub operator: &'a dyn ForwardOperator,
    /// The measurements, `[B, ...operator.measurement_shape()]`.
    pub b: &'a Array4<f32>,
    /// The standard deviation of the noise that is reckoned with, on the scale of pixels in [-1, 1].
    pub sigma: f64,
}

/// A way from a measurement to an image, with a prior or (the classical ones) with a penalty in its place.
///
/// As for [`Sampler`], a value of the implementing type is a method with its settings.
pub trait PosteriorMethod: Debug + Send + Sync {
    /// Its name in the registry and on a command line: `dps`.
    fn name(&self) -> &'static str;

    /// What tables and figures call it.
    fn title(&self) -> String;

    /// Where it comes from: authors, year, title, equation.
    fn reference(&self) -> &'static str;

    /// What it asks of the operator and of the model.
    fn needs(&self) -> &'static [Need];

    /// What it is set to for this operator and number of steps, in words: all that its result depends on, beside model,
    /// problem, steps and seed.
    ///
    /// # Errors
    ///
    /// Those of the operator, where settings are measured on it.
    fn settings(
        &self,
        operator: &dyn ForwardOperator,
        schedule: &Schedule,
        num_steps: usize,
    ) -> Result<String, MethodError>;

    /// What it costs for this operator when `num_steps` steps are asked for.
    ///
    /// # Errors
    ///
    /// If the number of steps does not fit the schedule.
    fn cost(&self, operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError>;

    /// Whether it can do this operator: whether the operator has what [`Self::needs`] lists.
    ///
    /// # Errors
    ///
    /// [`MethodError::Unsupported`], which says in one line why not.
    fn supports(&self, operator: &dyn ForwardOperator) -> Result<(), MethodError> {
        match self.needs().iter().find(|need| !need.is_met_by(operator)) {
            None => Ok(()),
            Some(&need) => Err(MethodError::Unsupported {
                method: self.name(),
                operator: operator.name(),
                need,
            }),
        }
    }

    /// The reconstructions `[B, C, H, W]`, one for each measurement. The observer sees every step, where there are
    /// steps; the same seed gives the same images.
    ///
    /// # Errors
    ///
    /// [`MethodError::Unsupported`]; those of the model, of the operator (measurements of the wrong shape, a NaN) and
    /// of the observer; a number of steps that does not fit the model's schedule.
    fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError>;
}
