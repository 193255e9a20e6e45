//! What a sampler does, seen from its model and from its observer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use diffusion::{Observer, Pullback, Schedule, ScoreError, ScoreModel, Step, StepView};
use ndarray::{Array2, Array4, ArrayD, Axis, stack};
use probe::Numbers;

use crate::probed::{is_probed, run_probed};
use crate::{Message, model, steps};

/// A model is asked once per step. So many times that, and a loop does not end.
const MOST_CALLS: usize = 50;

/// A model that remembers at which times it was asked, and how often for a pullback, too.
pub struct RecordingModel<'a> {
    inner: &'a dyn ScoreModel,
    most_calls: usize,
    asked: Mutex<Vec<usize>>,
    pullbacks: AtomicUsize,
}

impl<'a> RecordingModel<'a> {
    /// Remembers what `inner` is asked; it refuses to answer more than `most_calls` times, so that a loop which never
    /// ends does.
    #[must_use]
    pub fn new(inner: &'a dyn ScoreModel, most_calls: usize) -> Self {
        Self {
            inner,
            most_calls,
            asked: Mutex::default(),
            pullbacks: AtomicUsize::new(0),
        }
    }

    /// The times, in order and with blanks between them, as the text `asked`; the number of pullbacks
    /// asked for as `pullbacks`.
    #[must_use]
    pub fn report(&self, answer: Message) -> Message {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times: Vec<String> = asked.iter().map(ToString::to_string).collect();
        answer
            .with("asked", times.join(" "))
            .with("pullbacks", self.pullbacks.load(Ordering::Relaxed))
    }

    fn note(&self, t: usize) -> Result<(), ScoreError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(t);
        if asked.len() > self.most_calls {
            let most = self.most_calls;
            return Err(ScoreError::Backend(format!(
                "the model was asked more than {most} times"
            )));
        }
        Ok(())
    }
}

impl ScoreModel for RecordingModel<'_> {
    fn image_shape(&self) -> [usize; 3] {
        self.inner.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.inner.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.note(t)?;
        self.inner.score(x_t, t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.note(t)?;
        self.pullbacks.fetch_add(1, Ordering::Relaxed);
        self.inner.score_with_pullback(x_t, t)
    }
}

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

/// Runs a sampler on the model and the steps that the request names, with random numbers from its number `seed`. The
/// answer's array `result` holds the images; with a text `watch` it tells what was asked and seen as well, and where
/// that text is a number, the observer stops the sampler at that step.
///
/// # Errors
///
/// What the sampler returns, and a request that names no model.
pub fn run_sampler(request: &Message, sampler: &mut Sampler<'_>) -> Result<Message> {
    if is_probed(request) {
        return run_probed(request, sampler);
    }
    let model = model(request)?;
    let steps = steps(request, model.schedule())?;
    let rng = &mut Numbers::drawn(request.number("seed")?);
    let passes = request.number("repeats").unwrap_or(1);
    let recording = RecordingModel::new(model.as_ref(), MOST_CALLS * steps.len().max(1) * passes);
    if request.text("watch").is_err() {
        let images = sampler(&recording, &steps, rng, &mut ())?;
        return Ok(Message::default().with_batch("result", &images));
    }
    let mut watcher = Watcher {
        stop_at: request.number("watch").ok(),
        ..Watcher::default()
    };
    let images = sampler(&recording, &steps, rng, &mut watcher)?;
    watcher.report(recording.report(Message::default().with_batch("result", &images)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SMALL_SHAPE;

    #[test]
    fn a_loop_that_never_ends_is_stopped() {
        let request = Message::request("3.3")
            .with("model", "small:1")
            .with("seed", 1)
            .with("from", 1000)
            .with("steps", 3);
        let [c, h, w] = SMALL_SHAPE;
        let x_t = Array4::zeros((1, c, h, w));
        let answer = run_sampler(&request, &mut |model, steps, _, _| {
            loop {
                model.score(&x_t, steps[0].t)?;
            }
        });
        let said = answer.map_or_else(|error| error.to_string(), |_| "an answer".into());
        assert!(said.contains("asked more than 150 times"), "{said}");
    }
}
