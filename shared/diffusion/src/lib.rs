//! Diffusion models without a network: the noise schedule, the variance-preserving SDE, the [`ScoreModel`] trait that
//! every prior implements, and two priors whose score is known exactly.
//!
//! Conventions, which all crates of the workspace share:
//!
//! - A batch of images is an [`ndarray::Array4`] of `f32`, `[B, C, H, W]`, in standard (contiguous) layout.
//! - Time is an integer `t` in `1..=T`. `x_0` is the clean image, `x_T` is (nearly) pure noise, `alpha_bar(0) = 1`.
//! - The score is `s(x_t, t) = grad log p_t(x_t)`; a network that predicts the noise gives
//!   `s = -eps / sqrt(1 - alpha_bar_t)`.
//! - Coefficients are `f64`, images are `f32`.
//! - Whatever draws random numbers takes `&mut impl Rng`.
//!
//! | module | what is in it |
//! |---|---|
//! | [`schedule`] | [`Schedule`] (`beta`, `alpha`, `alpha_bar`) and [`Step`], one reverse step of a respaced schedule |
//! | [`noise_level`], [`straight_path`] | the schedule in the letters of EDM, DPM-Solver and flow matching |
//! | [`spacing`] | [`Spacing`]: which times a sampler stops at |
//! | [`model`] | [`ScoreModel`], [`Pullback`], [`ScoreError`] |
//! | [`observer`] | [`Observer`], [`StepView`], and the observers [`FiniteCheck`] and [`Trajectory`] |
//! | [`forward`] | one step of the forward process |
//! | [`conversions`] | from predicted noise to a score |
//! | [`sde`] | [`VpSde`]: drift, diffusion coefficient, Euler-Maruyama forwards and backwards |
//! | [`gaussian`], [`mixture`] | [`GaussianModel`] and [`GaussianMixtureModel`]: exact scores, pullbacks, posteriors |
//!
//! The crate knows nothing of networks and does no input or output. Nothing in here is what a task asks to write.

mod closed_form;
pub mod conversions;
pub mod forward;
pub mod gaussian;
mod linalg;
pub mod mixture;
pub mod model;
pub mod noise_level;
pub mod observer;
pub mod schedule;
pub mod sde;
pub mod spacing;
pub mod straight_path;

pub use closed_form::ClosedFormError;
pub use conversions::score_from_noise;
pub use forward::forward_kernel;
pub use gaussian::GaussianModel;
pub use mixture::GaussianMixtureModel;
pub use model::{CountingModel, Pullback, ScoreError, ScoreModel};
pub use observer::{FiniteCheck, FnObserver, Observer, StepView, Trajectory, TrajectoryFrame, observe_with};
pub use schedule::{Schedule, ScheduleError, Step, StepVariance};
pub use sde::VpSde;
pub use spacing::Spacing;
pub use straight_path::PathPoint;
