//! What the loops of task 4 should do: SDEdit without a mask, with one, and pass after pass.

pub mod guided;
pub mod masked;
mod masked_terms;
mod pairs;
pub mod restored;

use diffusion::{Schedule, Step};
use ndarray::Array4;

use crate::sampler::{Loop, direct_mean, direct_terms};

/// The loop of exercise 4.3.
pub const SDEDIT: Loop = Loop {
    name: "sdedit",
    mean: || direct_mean("sdedit"),
    terms: direct_terms,
    pullbacks: 0,
    residual: None,
};

/// The way from `t0` down to 0 in so many steps.
///
/// # Panics
///
/// If there is no such way.
#[must_use]
pub fn way(t0: usize, count: usize) -> Vec<Step> {
    Schedule::linear()
        .steps_from(t0, count)
        .expect("a time and a number of steps within the schedule")
}

/// The noise on images that were noised from clean ones: `eps` in
/// `x_t = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) eps`.
fn noise_on(x_t: &Array4<f32>, clean: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t - &(clean * alpha_bar.sqrt() as f32)) / (1.0 - alpha_bar).sqrt() as f32
}
