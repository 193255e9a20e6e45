//! A prior that nobody knows, on a schedule of its own, which remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use testing::arrays::noise;

/// What the error of a model says that fails.
pub const BROKEN: &str = "the network broke";

/// `x_t` and `t` of one call.
type Question = (Array4<f32>, usize);

/// Its scores are no gradients of anything, but each image and each time has its own.
#[derive(Clone)]
pub struct Scripted {
    shape: [usize; 3],
    schedule: Schedule,
    is_broken: bool,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Scripted {
    /// For images of a shape `[C, H, W]`; T is 200.
    pub fn new(shape: [usize; 3]) -> Self {
        Self {
            shape,
            schedule: Schedule::linear_with(200, 1e-3, 0.04).expect("a schedule"),
            is_broken: false,
            asked: Arc::default(),
        }
    }

    /// One that only fails.
    pub fn broken(shape: [usize; 3]) -> Self {
        Self {
            is_broken: true,
            ..Self::new(shape)
        }
    }

    /// What it was asked so far: `x_t` and `t`.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer, without a note.
    pub fn answer(&self, x_t: &Array4<f32>, t: usize) -> Array4<f32> {
        let own = noise(x_t.dim(), 1000 + t as u64);
        let size = 1.0 / (1.0 - self.schedule.alpha_bar(t)).sqrt();
        (own * 0.7 - x_t + x_t.mapv(|v| (2.0 * v).sin())) * size as f32
    }
}

impl ScoreModel for Scripted {
    fn image_shape(&self) -> [usize; 3] {
        self.shape
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        let note = (x_t.clone(), t);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.check(x_t, t)?;
        if self.is_broken {
            return Err(ScoreError::Backend(BROKEN.into()));
        }
        Ok(self.answer(x_t, t))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let no_pullback = |_: &Array4<f32>| Err(ScoreError::Backend("the pullback is for task 6".into()));
        Ok((self.score(x_t, t)?, Box::new(no_pullback)))
    }
}
