//! A prior that nobody knows. It is no prior of anything: its scores are such that whatever a sampler makes of them
//! can be told apart.

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::{Array2, Array4};

use crate::log::{Event, Log};
use crate::mixing::{mixed, mixing};

/// The score of [`ProbeModel`] without its memory.
#[derive(Clone, Debug)]
pub struct Probe {
    shape: [usize; 3],
    schedule: Schedule,
    matrix: Array2<f32>,
}

impl Probe {
    /// For images of a shape `[C, H, W]`.
    #[must_use]
    pub fn new(shape: [usize; 3]) -> Self {
        let d = shape.iter().product();
        Self {
            shape,
            schedule: Schedule::linear(),
            matrix: mixing(d, d, 21),
        }
    }

    /// T of its schedule.
    #[must_use]
    pub fn num_steps(&self) -> usize {
        self.schedule.num_steps()
    }

    fn size(&self, t: usize) -> f32 {
        (1.0 / (1.0 - self.schedule.alpha_bar(t)).sqrt()) as f32
    }

    /// `(-x + 0.7 M tanh(x) + 0.5 c_t) / sqrt(1 - alpha_bar_t)`: pulls towards 0, as scores do, mixes all pixels, and
    /// is
    /// another at each time. Times outside of the schedule count as the nearest one inside.
    #[must_use]
    pub fn score(&self, x: &Array4<f32>, t: usize) -> Array4<f32> {
        let t = t.clamp(1, self.schedule.num_steps());
        let bent = mixed(&self.matrix, &x.mapv(f32::tanh), self.shape);
        let [_, h, w] = self.shape;
        let wave = |(c, i, j): (usize, usize, usize)| (0.37 * t as f32 + 1.3 * (c * h * w + i * w + j) as f32).cos();
        let mut score = bent * 0.7 - x;
        for ((_, c, i, j), value) in score.indexed_iter_mut() {
            *value += 0.5 * wave((c, i, j));
        }
        score * self.size(t)
    }

    /// `J^T v` of the score at `x` and `t`.
    #[must_use]
    pub fn pull_back(&self, x: &Array4<f32>, t: usize, v: &Array4<f32>) -> Array4<f32> {
        let slope = x.mapv(|x| 1.0 - x.tanh().powi(2));
        let back = mixed(&self.matrix.t().to_owned(), v, self.shape);
        (back * slope * 0.7 - v) * self.size(t.clamp(1, self.schedule.num_steps()))
    }
}

/// The [`Probe`] as a model, which remembers what it was asked, and answers so many times only.
#[derive(Clone, Debug)]
pub struct ProbeModel {
    /// Its score.
    pub probe: Probe,
    log: Log,
    most_calls: usize,
    fails_at: Option<usize>,
}

impl ProbeModel {
    /// For images of a shape `[C, H, W]`; it refuses to answer more than `most_calls` times.
    #[must_use]
    pub fn new(shape: [usize; 3], log: &Log, most_calls: usize) -> Self {
        Self {
            probe: Probe::new(shape),
            log: log.clone(),
            most_calls,
            fails_at: None,
        }
    }

    /// One whose call of this number, from 1, fails.
    #[must_use]
    pub fn failing_at(mut self, call: usize) -> Self {
        self.fails_at = Some(call);
        self
    }

    fn note(&self, x_t: &Array4<f32>, t: usize, with_pullback: bool) -> Result<(), ScoreError> {
        self.log.note(Event::Score {
            x_t: x_t.clone(),
            t,
            with_pullback,
        });
        let calls = self.log.count(|event| matches!(event, Event::Score { .. }));
        if self.fails_at == Some(calls) {
            return Err(ScoreError::Backend(BROKEN.into()));
        }
        if calls > self.most_calls {
            return Err(ScoreError::Backend(format!(
                "the model was asked more than {} times",
                self.most_calls
            )));
        }
        self.check(x_t, t)
    }
}

/// What the error of a model says that fails.
pub const BROKEN: &str = "the network broke";

impl ScoreModel for ProbeModel {
    fn image_shape(&self) -> [usize; 3] {
        self.probe.shape
    }

    fn schedule(&self) -> &Schedule {
        &self.probe.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.note(x_t, t, false)?;
        Ok(self.probe.score(x_t, t))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.note(x_t, t, true)?;
        let at = x_t.clone();
        let pullback = move |v: &Array4<f32>| {
            self.log.note(Event::Pullback);
            Ok(self.probe.pull_back(&at, t, v))
        };
        Ok((self.probe.score(x_t, t), Box::new(pullback)))
    }
}
