//! What the loops start from here, and what is left of their start.

use checks::Fault;
use diffusion::{Schedule, Step};
use ndarray::Array4;
use testing::arrays::noise;
use testing::path::{Path, Setting};

/// No two images alike, and another one for each seed.
pub fn guide(setting: &Setting) -> Array4<f32> {
    noise(setting.batch(), 500 + setting.seed) * 0.6
}

/// The way from `t0` down to 0 in so many steps.
pub fn way(t0: usize, count: usize) -> Vec<Step> {
    Schedule::linear()
        .steps_from(t0, count)
        .expect("a time and a number of steps within the schedule")
}

/// The noise on images that were noised from clean ones: `eps` in
/// `x_t = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) eps`.
pub fn noise_on(x_t: &Array4<f32>, clean: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t - &(clean * alpha_bar.sqrt() as f32)) / (1.0 - alpha_bar).sqrt() as f32
}

/// What step number `i` of a path leads to, without its noise.
pub fn mean_of_step(path: &Path, i: usize) -> Array4<f32> {
    let step = &path.setting.steps[i];
    let climb = path.score(i) * step.beta() as f32;
    (path.around(i).0 + &climb) / step.alpha.sqrt() as f32
}

/// The same moment of two runs with one seed, which start from images that differ: what came, and what should have but
/// for the noise, which both have alike.
pub struct Pair {
    /// Where it is.
    pub at: String,
    /// What came in either run.
    pub got: [Array4<f32>; 2],
    /// What should have come, without the noise.
    pub right: [Array4<f32>; 2],
}

/// The noise drops out of the difference of two runs, whatever the order is in which it is drawn: the rest is exact.
///
/// - `what`: what they differ in, and by what they should, for messages
///
/// # Errors
///
/// The first difference that is another.
pub fn check_pairs(function: &str, what: &str, pairs: &[Pair]) -> Result<(), Fault> {
    for Pair { at, got, right } in pairs {
        let (came, expected) = (&got[0] - &got[1], &right[0] - &right[1]);
        let size = got.iter().flatten().fold(1.0f32, |m, v| m.max(v.abs()));
        let Some((place, value)) = came
            .indexed_iter()
            .find(|(place, value)| (**value - expected[*place]).abs() > 2e-5 * size || value.is_nan())
        else {
            continue;
        };
        return Err(Fault::new(format!(
            "{function}: two runs with one seed, {what}; at {at} they do not"
        ))
        .fact("the noise of both is the same, and drops out of the difference")
        .fact(format!(
            "[image, channel, row, column] {place:?}: they differ by {value:.6}, expected {:.6}",
            expected[place]
        )));
    }
    Ok(())
}

/// Another guide than [`guide`].
pub fn other_guide(setting: &Setting) -> Array4<f32> {
    noise(setting.batch(), 900 + setting.seed) * 0.5
}
