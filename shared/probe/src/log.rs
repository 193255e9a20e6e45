//! What happens in a run, written down by all who take part in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diffusion::{Observer, ScoreError, Step, StepView};
use ndarray::Array4;

/// What was asked, or shown, in the order in which it was.
#[derive(Clone, Debug)]
pub enum Event {
    /// The model's score at `x_t` and `t`.
    Score {
        /// `[B, C, H, W]`.
        x_t: Array4<f32>,
        /// The time.
        t: usize,
        /// Whether a pullback was asked for, too.
        with_pullback: bool,
    },
    /// The pullback of a score was called.
    Pullback,
    /// The operator was applied.
    Apply,
    /// The operator's vector-Jacobian product.
    Vjp,
    /// The observer was shown a step.
    Seen(Seen),
}

/// What an observer was shown of one step.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `index` of the view.
    pub index: usize,
    /// `num_steps` of the view.
    pub num_steps: usize,
    /// `step` of the view.
    pub step: Step,
    /// `[B, C, H, W]`.
    pub x_t: Array4<f32>,
    /// `[B, C, H, W]`.
    pub x0_hat: Array4<f32>,
    /// One number for each image.
    pub residual: Option<Vec<f32>>,
}

/// The events of one run, which all who take part in it write down.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    /// What has happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    pub(crate) fn note(&self, event: Event) {
        self.lock().push(event);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.lock().iter().filter(|event| is_it(event)).count()
    }
}

/// An observer that writes down what it sees, and fails at some step.
#[derive(Clone, Debug)]
pub struct Watch {
    log: Log,
    stops_at: Option<usize>,
}

impl Watch {
    /// One that sees all.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            stops_at: None,
        }
    }

    /// One that stops the sampler at its call of this number, from 1.
    #[must_use]
    pub fn stopping_at(log: &Log, call: usize) -> Self {
        Self {
            log: log.clone(),
            stops_at: Some(call),
        }
    }
}

impl Observer for Watch {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.log.note(Event::Seen(Seen {
            index: view.index,
            num_steps: view.num_steps,
            step: *view.step,
            x_t: view.x_t.clone(),
            x0_hat: view.x0_hat.clone(),
            residual: view.residual.map(<[f32]>::to_vec),
        }));
        let calls = self.log.count(|event| matches!(event, Event::Seen(_)));
        if self.stops_at == Some(calls) {
            return Err(ScoreError::Interrupted);
        }
        Ok(())
    }
}
