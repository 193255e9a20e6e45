//! A prior and an operator that nobody knows, which remember what they were asked. They are no priors of anything:
//! their
//! scores and measurements are such that whatever a sampler makes of them can be told apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diffusion::{Observer, Pullback, Schedule, ScoreError, ScoreModel, Step, StepView};
use imaging::{ForwardOperator, OperatorKind};
use ndarray::{Array2, Array4, ArrayRef4};

use crate::arrays::noise;

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

    fn note(&self, event: Event) {
        self.lock().push(event);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.lock().iter().filter(|event| is_it(event)).count()
    }
}

/// A square matrix without structure, whose rows are of length 1 or nearly so.
fn mixing(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let flat = noise((1, 1, rows, columns), seed) / (columns as f32).sqrt();
    flat.into_shape_with_order((rows, columns))
        .expect("as many numbers as before")
}

/// `matrix x` of each image, flattened.
fn mixed(matrix: &Array2<f32>, x: &ArrayRef4<f32>, shape: [usize; 3]) -> Array4<f32> {
    let flat = x.to_shape((x.dim().0, matrix.ncols())).expect("an image for each row");
    let [c, h, w] = shape;
    let out = flat.dot(&matrix.t());
    // Of one image the product may come in either order of axes.
    let out = out.as_standard_layout().into_owned();
    out.into_shape_with_order((x.dim().0, c, h, w))
        .expect("as many numbers as asked for")
}

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

/// An operator that is neither linear nor square: `A(x) = M tanh(x)`, which remembers what it was asked.
#[derive(Clone, Debug)]
pub struct ProbeOperator {
    image: [usize; 3],
    measurement: [usize; 3],
    matrix: Array2<f32>,
    log: Log,
}

impl ProbeOperator {
    /// From images of a shape `[C, H, W]` to `[1, 1, M]`.
    #[must_use]
    pub fn new(image: [usize; 3], measured: usize, log: &Log) -> Self {
        Self {
            image,
            measurement: [1, 1, measured],
            matrix: mixing(measured, image.iter().product(), 22),
            log: log.clone(),
        }
    }

    /// From images to measurements of the same shape, so that what is confused with what does not show in shapes.
    #[must_use]
    pub fn square(image: [usize; 3], log: &Log) -> Self {
        Self {
            measurement: image,
            ..Self::new(image, image.iter().product(), log)
        }
    }

    /// `A(x)`, without a note.
    #[must_use]
    pub fn of(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix, &x.mapv(f32::tanh), self.measurement)
    }

    /// `J_A(x)^T v`, without a note.
    #[must_use]
    pub fn back(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix.t().to_owned(), v, self.image) * x.mapv(|x| 1.0 - x.tanh().powi(2))
    }
}

impl ForwardOperator for ProbeOperator {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Hdr
    }

    fn description(&self) -> String {
        "random mixtures of bent pixels".into()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.measurement
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.log.note(Event::Apply);
        self.of(x)
    }

    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.log.note(Event::Vjp);
        self.back(x, v)
    }

    /// Neither zero nor what the measurement's gradient is.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        mixed(&self.matrix.t().to_owned(), b, self.image) * 0.6 + 0.2
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `<J u, v>` by differences is `<u, J^T v>`.
    #[test]
    fn pullbacks_belong_to_what_they_pull_back() {
        let shape = [2, 3, 2];
        let dim = (2, 2, 3, 2);
        let (x, u, v) = (noise(dim, 1), noise(dim, 2), noise(dim, 3));
        let close = |a: f32, b: f32| (a - b).abs() < 2e-2 * (1.0 + a.abs());
        let probe = Probe::new(shape);
        let h = 1e-2;
        let ahead = (probe.score(&(&x + &(&u * h)), 300) - probe.score(&(&x - &(&u * h)), 300)) / (2.0 * h);
        let back = (probe.pull_back(&x, 300, &v) * &u).sum();
        assert!(close((ahead * &v).sum(), back));
        let operator = ProbeOperator::new(shape, 5, &Log::default());
        let w = noise((2, 1, 1, 5), 4);
        let ahead = (operator.of(&(&x + &(&u * h))) - operator.of(&(&x - &(&u * h)))) / (2.0 * h);
        assert!(close((ahead * &w).sum(), (operator.back(&x, &w) * &u).sum()));
    }
}
