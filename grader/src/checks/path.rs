//! The path that a sampler took, by what it asked its model: does each question follow from the one before, by the step
//! that the exercise asks for and fresh noise, and does the last lead to the result?
//!
//! Nothing here depends on the order in which random numbers are drawn, nor on anything that the submission says of
//! itself. From one `x_t` to the next the noise of the step is worked out, `z = (x_{t-1} - mean) / sigma`; all of it
//! together has to be standard normal, except at the end, where it is zero.

use anyhow::Result;
use diffusion::{ScoreModel, Step};
use ndarray::Array4;

use super::asked::Call;
use super::noise::wrong_noise;

/// For comparisons to rounding, relative to the largest value.
const TOLERANCE: f32 = 2e-3;

/// From `x_t` and its step to the next images, without noise; scores come from the model that is handed over.
pub type StepMean<'a> = dyn Fn(&dyn ScoreModel, &Array4<f32>, &Step) -> Result<Array4<f32>> + 'a;

/// What a sampler should do.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The model that is sampled from.
    pub model: &'a dyn ScoreModel,
    /// The steps of one pass.
    pub steps: &'a [Step],
    /// How many passes follow each other; each starts anew from a guide.
    pub passes: usize,
    /// What a pass starts from: `alpha_bar` of the start, 0 for pure noise, and the first guide, `[B, C, H, W]`.
    pub start: (f64, &'a Array4<f32>),
    /// The next images without the step's noise.
    pub mean: &'a StepMean<'a>,
}

impl Way<'_> {
    /// The first call of each step, in their order; calls between them, which cost points elsewhere, are passed over.
    ///
    /// # Errors
    ///
    /// If a step has none, in words for the student.
    pub fn calls<'c>(&self, calls: &'c [Call]) -> Result<Vec<&'c Call>, String> {
        let mut rest = calls.iter();
        let times = (0..self.passes).flat_map(|_| self.steps.iter().map(|step| step.t));
        times
            .map(|t| {
                let is_it = |call: &&Call| call.t == t && call.x_t.dim() == self.start.1.dim();
                rest.find(is_it).ok_or_else(|| {
                    let (b, c, h, w) = self.start.1.dim();
                    format!(
                        "The model was not asked for the score of a batch [B, C, H, W] = {:?} at t = {t}, expected \
                         once in each of {} steps.",
                        [b, c, h, w],
                        self.steps.len() * self.passes
                    )
                })
            })
            .collect()
    }

    /// What is wrong with the way from the start through `calls`, those of [`Self::calls`], to the result.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn fault(&self, calls: &[&Call], result: &Array4<f32>) -> Result<Option<String>> {
        let (alpha_bar, first) = self.start;
        let mut guide = first.clone();
        let mut noises: Vec<(String, Array4<f32>)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let step = &self.steps[index % self.steps.len()];
            if index % self.steps.len() == 0 {
                let eps = (&call.x_t - &guide * alpha_bar.sqrt() as f32) / (1.0 - alpha_bar).sqrt() as f32;
                noises.push((format!("the start, x_t at t = {}", step.t), eps));
            }
            let mean = (self.mean)(self.model, &call.x_t, step)?;
            let next = if step.is_last() { None } else { calls.get(index + 1) };
            let Some(next) = next else {
                // The end of a pass: the next one starts from what came out, which only the last pass shows.
                let is_end = index + 1 == calls.len();
                if is_end && !close(result, &mean) {
                    return Ok(Some(format!(
                        "The last step, from t = {}, does not lead to the result that it should: z = 0 there, and the \
                         result of the step is returned.",
                        step.t
                    )));
                }
                guide = mean;
                continue;
            };
            let z = (&next.x_t - &mean) / step.sigma as f32;
            noises.push((format!("the step from t = {} to {}", step.t, step.t_prev), z));
        }
        Ok(wrong_noise(&noises))
    }
}

/// Whether two batches are the same to rounding.
pub fn close(got: &Array4<f32>, expected: &Array4<f32>) -> bool {
    let scale = expected.iter().fold(1f32, |most, v| most.max(v.abs()));
    got.dim() == expected.dim()
        && got
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() <= TOLERANCE * scale)
}
