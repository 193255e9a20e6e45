//! What a sampler shows its observer.

use anyhow::Result;
use diffusion::{Observer, ScoreError, ScoreModel, Step, StepView};
use ndarray::{Array2, Array4, ArrayD, Axis, stack};
use probe::Numbers;

use crate::probed::{is_probed, run_probed};
use crate::{Message, steps};

/// Keeps every step that a sampler shows.
#[derive(Debug, Default)]
pub struct Watcher {
    times: Vec<String>,
    x_t: Vec<Array4<f32>>,
    x0_hat: Vec<Array4<f32>>,
    residuals: Vec<Vec<f32>>,
    /// The step, from 0, at which to stop the sampler with an error.
    stop_at: Option<usize>,
}

impl Watcher {
    /// The steps as the arrays `x_t` and `x0_hat` `[steps, B, C, H, W]` and `residual` `[steps, B]` (left out where
    /// steps had none), and their times as the text `seen`.
    ///
    /// # Errors
    ///
    /// If the arrays of different steps have different shapes.
    pub fn report(&self, answer: Message) -> Result<Message> {
        let mut answer = answer.with("seen", self.times.join(" "));
        if self.x_t.is_empty() {
            return Ok(answer);
        }
        answer = answer
            .with_array("x_t", stacked(&self.x_t)?)
            .with_array("x0_hat", stacked(&self.x0_hat)?);
        if let Some(first) = self.residuals.first()
            && self.residuals.len() == self.x_t.len()
        {
            let shape = (self.residuals.len(), first.len());
            let residuals = Array2::from_shape_vec(shape, self.residuals.concat())?;
            answer = answer.with_array("residual", residuals.into_dyn());
        }
        Ok(answer)
    }
}

fn stacked(batches: &[Array4<f32>]) -> Result<ArrayD<f32>> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    Ok(stack(Axis(0), &views)?.into_dyn())
}

impl Observer for Watcher {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        if self.stop_at == Some(self.times.len()) {
            return Err(ScoreError::Stopped);
        }
        self.times.push(view.step.t.to_string());
        self.x_t.push(view.x_t.clone());
        self.x0_hat.push(view.x0_hat.clone());
        self.residuals.extend(view.residual.map(<[f32]>::to_vec));
        Ok(())
    }
}

/// A student's sampler, with what it may not choose filled in.
pub type Sampler<'a> = dyn FnMut(&dyn ScoreModel, &[Step], &mut Numbers, &mut dyn Observer) -> Result<Array4<f32>> + 'a;

/// Runs a sampler on a model and the steps that the request names, with random numbers from its number `seed`. The
/// answer's array `result` holds the images; with a text `watch` it tells what was seen as well, and where that text is
/// a number, the observer stops the sampler at that step.
///
/// # Errors
///
/// What the sampler returns, and a request that lacks something.
pub fn run_sampler(request: &Message, model: &dyn ScoreModel, sampler: &mut Sampler<'_>) -> Result<Message> {
    if is_probed(request) {
        return run_probed(request, sampler);
    }
    let steps = steps(request, model.schedule())?;
    let rng = &mut Numbers::drawn(request.number("seed")?);
    if request.text("watch").is_err() {
        let images = sampler(model, &steps, rng, &mut ())?;
        return Ok(Message::default().with_batch("result", &images));
    }
    let mut watcher = Watcher {
        stop_at: request.number("watch").ok(),
        ..Watcher::default()
    };
    let images = sampler(model, &steps, rng, &mut watcher)?;
    watcher.report(Message::default().with_batch("result", &images))
}
