//! Runs a sampler, and keeps the path that it took: from one `x_t`, which the model was asked about, to the next.

use std::sync::Arc;

use checks::{Fault, Guard};
use diffusion::{Observer, ScoreModel, Step};
use ndarray::Array4;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::formula::x0_hat;
use crate::probe::{Event, Log, Probe, ProbeModel, ProbeOperator, Seen, Watch};

/// What a sampler is run with.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// How many of them.
    pub images: usize,
    /// The way back.
    pub steps: Vec<Step>,
    /// Of the random numbers.
    pub seed: u64,
    /// The model's call that fails, from 1.
    pub model_fails_at: Option<usize>,
    /// The observer's call that stops the sampler, from 1.
    pub observer_stops_at: Option<usize>,
    /// How many numbers a measurement has.
    pub measured: usize,
}

impl Setting {
    /// Some images of a shape that is no square, in these steps.
    #[must_use]
    pub fn new(steps: Vec<Step>, seed: u64) -> Self {
        Self {
            shape: [2, 6, 5],
            images: 4,
            steps,
            seed,
            model_fails_at: None,
            observer_stops_at: None,
            measured: 24,
        }
    }

    /// The same without the noise of the steps: what is left is exact.
    #[must_use]
    pub fn without_noise(mut self) -> Self {
        self.steps.iter_mut().for_each(|step| step.sigma = 0.0);
        self
    }

    /// `[B, C, H, W]`.
    #[must_use]
    pub fn batch(&self) -> (usize, usize, usize, usize) {
        let [c, h, w] = self.shape;
        (self.images, c, h, w)
    }
}

/// What a sampler gets.
pub struct Given {
    /// The prior.
    pub model: ProbeModel,
    /// The operator, for those who need one.
    pub operator: ProbeOperator,
    /// A measurement of each image.
    pub b: Array4<f32>,
    /// What it is run with.
    pub setting: Setting,
}

/// A task's sampler, called on what it is given; errors as text.
pub type Sampler = fn(&Given, &mut StdRng, &mut dyn Observer) -> Result<Array4<f32>, String>;

/// A run of a sampler.
pub struct Path {
    /// What it was run with.
    pub setting: Setting,
    /// The model's score.
    pub probe: Probe,
    /// The operator.
    pub operator: ProbeOperator,
    /// The measurements.
    pub b: Array4<f32>,
    /// What happened.
    pub events: Vec<Event>,
    /// What came back.
    pub outcome: Result<Array4<f32>, String>,
}

impl Path {
    /// Runs a sampler.
    ///
    /// # Errors
    ///
    /// It panicked, or did not come back in time.
    pub fn take(guard: &mut Guard, sampler: Sampler, setting: &Setting) -> Result<Self, Fault> {
        let log = Log::default();
        let most_calls = 3 * setting.steps.len() * setting.images.max(1) + 10;
        let mut model = ProbeModel::new(setting.shape, &log, most_calls);
        if let Some(call) = setting.model_fails_at {
            model = model.failing_at(call);
        }
        let operator = ProbeOperator::new(setting.shape, setting.measured, &log);
        let b = operator.of(&(crate::arrays::noise(setting.batch(), 1000) * 0.8)) + 0.1;
        let watch = match setting.observer_stops_at {
            Some(call) => Watch::stopping_at(&log, call),
            None => Watch::new(&log),
        };
        let given = Arc::new(Given {
            model: model.clone(),
            operator: operator.clone(),
            b: b.clone(),
            setting: setting.clone(),
        });
        let seed = setting.seed;
        let call = move || {
            let mut watch = watch;
            sampler(&given, &mut StdRng::seed_from_u64(seed), &mut watch)
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
        Ok(Self {
            setting: setting.clone(),
            probe: model.probe,
            operator,
            b,
            events: log.events(),
            outcome,
        })
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

/// What a run is fed, for messages.
#[must_use]
pub fn describe(setting: &Setting) -> String {
    let times: Vec<String> = setting.steps.iter().take(4).map(|step| step.t.to_string()).collect();
    let more = if setting.steps.len() > 4 { ", ..." } else { "" };
    format!(
        "{} images of shape {:?}, {} steps from t = {}{more}, seed {}",
        setting.images,
        setting.shape,
        setting.steps.len(),
        times.join(", "),
        setting.seed
    )
}

/// The ways back that samplers are tried on: wide steps from `T`, and some that skip no time.
///
/// # Panics
///
/// If the model's schedule has fewer than 1000 steps.
#[must_use]
pub fn ways(model: &dyn ScoreModel) -> [Vec<Step>; 3] {
    let way = |start: usize, count: usize| {
        model
            .schedule()
            .steps_from(start, count)
            .expect("a number of steps within the schedule")
    };
    [way(1000, 12), way(9, 9), way(600, 1)]
}
