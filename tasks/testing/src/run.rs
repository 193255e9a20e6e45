//! A prior that remembers what it was asked, and what is left of a run of a sampler on it.

use std::sync::{Mutex, PoisonError};

use diffusion::{GaussianModel, Pullback, Schedule, ScoreError, ScoreModel, Step};
use ndarray::{Array1, Array4};

/// `[C, H, W]` of all images here.
pub const SHAPE: [usize; 3] = [2, 8, 8];
/// So many of them.
pub const NUM_IMAGES: usize = 6;
/// `[B, C, H, W]`.
pub const BATCH: (usize, usize, usize, usize) = (NUM_IMAGES, SHAPE[0], SHAPE[1], SHAPE[2]);

/// Pixels around 0.2, each with a variance of its own.
///
/// # Panics
///
/// Does not: the numbers fit together.
#[must_use]
pub fn prior() -> GaussianModel {
    let d = SHAPE.iter().product::<usize>();
    let variances = Array1::from_shape_fn(d, |i| 0.05 + 0.002 * i as f64);
    GaussianModel::diagonal(Schedule::linear(), SHAPE, Array1::from_elem(d, 0.2), variances)
        .expect("as many variances as pixels")
}

/// The [`prior`], which remembers what it was asked.
pub struct Recorder {
    prior: GaussianModel,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    asked: Vec<(Array4<f32>, usize)>,
    pullbacks: usize,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// One that was not asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prior: prior(),
            log: Mutex::default(),
        }
    }

    /// How often it was asked so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).asked.len()
    }

    /// What was seen of a run with these steps, which had this result.
    #[must_use]
    pub fn into_run(self, steps: Vec<Step>, result: Array4<f32>) -> Run {
        let log = self.log.into_inner().unwrap_or_else(PoisonError::into_inner);
        Run {
            prior: self.prior,
            steps,
            asked: log.asked,
            pullbacks: log.pullbacks,
            result,
        }
    }

    fn note(&self, x_t: &Array4<f32>, t: usize, pullbacks: usize) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.asked.push((x_t.clone(), t));
        log.pullbacks += pullbacks;
    }
}

impl ScoreModel for Recorder {
    fn image_shape(&self) -> [usize; 3] {
        self.prior.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.prior.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.note(x_t, t, 0);
        self.prior.score(x_t, t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.note(x_t, t, 1);
        self.prior.score_with_pullback(x_t, t)
    }
}

/// A run of a sampler, and all that was seen of it.
pub struct Run {
    /// The model that was asked, without its memory.
    pub prior: GaussianModel,
    /// The steps that it was given.
    pub steps: Vec<Step>,
    /// What the model was asked: `x_t` and `t`.
    pub asked: Vec<(Array4<f32>, usize)>,
    /// How often a pullback was asked for.
    pub pullbacks: usize,
    /// What came out.
    pub result: Array4<f32>,
}

impl Run {
    /// Where step number `i` started, and where it led to.
    ///
    /// # Panics
    ///
    /// If the model was not asked so often.
    #[must_use]
    pub fn around(&self, i: usize) -> (&Array4<f32>, &Array4<f32>) {
        let Some((x_t, _)) = self.asked.get(i) else {
            panic!(
                "the model was asked {} times for {} steps: once per step, at x_t",
                self.asked.len(),
                self.steps.len()
            )
        };
        (x_t, self.asked.get(i + 1).map_or(&self.result, |(x, _)| x))
    }

    /// The prior's score at the start of step number `i`.
    ///
    /// # Panics
    ///
    /// If the model was not asked so often.
    #[must_use]
    pub fn score(&self, i: usize) -> Array4<f32> {
        let score = self.prior.score(self.around(i).0, self.steps[i].t);
        score.expect("a step of the prior's own schedule, and images that it has seen")
    }
}
