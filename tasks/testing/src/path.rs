//! Runs a sampler, and keeps the path that it took: from one `x_t`, which the model was asked about, to the next.

use std::hint::black_box;
use std::sync::Arc;

use checks::{Fault, Guard};
use diffusion::Observer;
use imaging::ForwardOperator;
use ndarray::Array4;
use probe::{Event, Log, Numbers, Probe, ProbeModel, ProbeOperator, Seen, Watch};

use crate::formula::x0_hat;
use crate::setting::{Draws, Operator, Setting, describe};

/// What a sampler gets.
pub struct Given {
    /// The prior.
    pub model: ProbeModel,
    /// The operator, for those who need one.
    pub operator: Box<dyn ForwardOperator>,
    /// A measurement of each image.
    pub b: Array4<f32>,
    /// What an editor starts from.
    pub guide: Array4<f32>,
    /// What it is run with.
    pub setting: Setting,
}

/// A task's sampler, called on what it is given; errors as text.
pub type Sampler = fn(&Given, &mut Numbers, &mut dyn Observer) -> Result<Array4<f32>, String>;

/// A run of a sampler.
pub struct Path {
    /// What it was run with.
    pub setting: Setting,
    /// The model's score.
    pub probe: Probe,
    /// The operator, where it is the probe.
    pub operator: ProbeOperator,
    /// The measurements.
    pub b: Array4<f32>,
    /// What happened.
    pub events: Vec<Event>,
    /// What came back.
    pub outcome: Result<Array4<f32>, String>,
}

impl Path {
    /// The run of a setting, from what happened in it.
    #[must_use]
    pub fn of(setting: &Setting, events: Vec<Event>, outcome: Result<Array4<f32>, String>) -> Self {
        Self {
            setting: setting.clone(),
            probe: Probe::new(setting.shape),
            operator: setting.probe(),
            b: setting.measurement(),
            events,
            outcome,
        }
    }

    /// Runs a sampler.
    ///
    /// # Errors
    ///
    /// It panicked, or did not come back in time.
    pub fn take(guard: &mut Guard, sampler: Sampler, setting: &Setting) -> Result<Self, Fault> {
        let log = Log::default();
        let mut model = ProbeModel::new(setting.shape, &log, most_calls(setting));
        if let Some(call) = setting.model_fails_at {
            model = model.failing_at(call);
        }
        let watch = match setting.observer_stops_at {
            Some(call) => Watch::stopping_at(&log, call),
            None => Watch::new(&log),
        };
        let given = Arc::new(Given {
            model,
            operator: match setting.operator {
                Operator::Probe => Box::new(ProbeOperator::new(setting.shape, setting.measured, &log)),
                Operator::Blur => Box::new(setting.blur()),
            },
            b: setting.measurement(),
            guide: setting.guide(),
            setting: setting.clone(),
        });
        let mut numbers = match setting.draws {
            Draws::Random => Numbers::drawn(setting.seed),
            Draws::Still => Numbers::still(),
        };
        let call = move || {
            let mut watch = watch;
            sampler(&given, &mut numbers, &mut watch)
        };
        let fed = describe(setting);
        let calls = |log: &Log| {
            log.events()
                .iter()
                .filter(|event| matches!(event, Event::Score { .. }))
                .count()
        };
        let outcome = guard
            .call(&fed, call)
            .map_err(|fault| fault.fact(format!("until then the model was asked {} times", calls(&log))))?;
        let path = Self::of(setting, log.events(), outcome);
        guard.remark_if_slower_than(|| path.ask_again());
        Ok(path)
    }

    /// What the model computed in this run.
    fn ask_again(&self) {
        for (x_t, t) in self.asked() {
            if x_t.dim() == self.setting.batch() {
                black_box(self.probe.score(x_t, t));
            }
        }
    }

    /// `x_t` and `t` of all calls of the model.
    #[must_use]
    pub fn asked(&self) -> Vec<(&Array4<f32>, usize)> {
        let asked = self.events.iter().filter_map(|event| match event {
            Event::Score { x_t, t, .. } => Some((x_t, *t)),
            _ => None,
        });
        asked.collect()
    }

    /// What a step of the prior leads to from the start of step number `i`, but for its noise:
    /// `(x_t + (1 - alpha_t) s) / sqrt(alpha_t)`.
    #[must_use]
    pub fn mean_of_step(&self, i: usize) -> Array4<f32> {
        let step = &self.setting.steps[i];
        let climb = self.score(i) * step.beta() as f32;
        (self.around(i).0 + &climb) / step.alpha.sqrt() as f32
    }

    /// T of the model's schedule.
    #[must_use]
    pub fn probe_steps(&self) -> usize {
        self.probe.num_steps()
    }

    /// What the observer was shown.
    #[must_use]
    pub fn seen(&self) -> Vec<&Seen> {
        let seen = self.events.iter().filter_map(|event| match event {
            Event::Seen(seen) => Some(seen),
            _ => None,
        });
        seen.collect()
    }

    /// How often something happened.
    #[must_use]
    pub fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }

    /// What came back; there is something, once [`crate::sampler::check_outcome`] has looked.
    ///
    /// # Panics
    ///
    /// If there is nothing.
    #[must_use]
    pub fn result(&self) -> &Array4<f32> {
        self.outcome.as_ref().expect("looked at before")
    }

    /// `x_t` at the start of step number `i`, and what it led to.
    ///
    /// # Panics
    ///
    /// If the model was not asked once per step.
    #[must_use]
    pub fn around(&self, i: usize) -> (&Array4<f32>, &Array4<f32>) {
        let asked = self.asked();
        let next = asked.get(i + 1).map_or_else(|| self.result(), |(x, _)| x);
        (asked[i].0, next)
    }

    /// The right `x0_hat` at the start of step number `i`.
    #[must_use]
    pub fn x0_hat(&self, i: usize) -> Array4<f32> {
        x0_hat(self.around(i).0, &self.score(i), self.setting.steps[i].alpha_bar)
    }

    /// The right score at the start of step number `i`.
    #[must_use]
    pub fn score(&self, i: usize) -> Array4<f32> {
        self.probe.score(self.around(i).0, self.setting.steps[i].t)
    }
}

/// So many times a sampler may ask the model.
#[must_use]
pub fn most_calls(setting: &Setting) -> usize {
    3 * setting.steps.len() * setting.images.max(1) + 10
}
