//! How the samplers of this folder ask the network where a step takes more than one answer.

use diffusion::{Observer, ScoreModel, Step, StepView};
use ndarray::Array4;
use task3_generate::predict_x0;

use crate::error::MethodError;

/// The network as what the papers call it, a denoiser: from a noisy image to the clean one behind it. Each question is
/// shown to the observer.
pub(super) struct Denoiser<'a> {
    model: &'a dyn ScoreModel,
    observer: &'a mut dyn Observer,
    asked: usize,
    questions: usize,
}

impl<'a> Denoiser<'a> {
    /// For so many questions.
    pub(super) fn new(model: &'a dyn ScoreModel, observer: &'a mut dyn Observer, questions: usize) -> Self {
        Self {
            model,
            observer,
            asked: 0,
            questions,
        }
    }

    /// `x0_hat` behind `x_t`, `[B, C, H, W]` both, on the scale of the schedule. The observer is told of a step from
    /// `t` to `t_prev`.
    pub(super) fn x0_hat(&mut self, x_t: &Array4<f32>, t: usize, t_prev: usize) -> Result<Array4<f32>, MethodError> {
        let step: Step = self.model.schedule().step(t, t_prev);
        let x0_hat = predict_x0(x_t, &self.model.score(x_t, t)?, &step);
        self.observer.observe(&StepView {
            step: &step,
            index: self.asked,
            num_steps: self.questions,
            x_t,
            x0_hat: &x0_hat,
            residual: None,
        })?;
        self.asked += 1;
        Ok(x0_hat)
    }
}
