//! What the loops start from here, and what is left of their start.

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

/// The noise on images that were noised from clean ones: `eps` in `x_t = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) eps`.
pub fn noise_on(x_t: &Array4<f32>, clean: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t - &(clean * alpha_bar.sqrt() as f32)) / (1.0 - alpha_bar).sqrt() as f32
}

/// What step number `i` of a path leads to, without its noise.
pub fn mean_of_step(path: &Path, i: usize) -> Array4<f32> {
    let step = &path.setting.steps[i];
    let climb = path.score(i) * step.beta() as f32;
    (path.around(i).0 + &climb) / step.alpha.sqrt() as f32
}
