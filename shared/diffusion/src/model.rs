//! What a prior is to a sampler: something that knows the score.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array4, ArrayRef4};
use thiserror::Error;

use crate::schedule::Schedule;

/// What can go wrong while a score is computed, or in a sampler that uses one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// The images have another shape than the model's.
    #[error("the model takes images of shape [C, H, W] = {expected:?}, got a batch of shape [B, C, H, W] = {got:?}")]
    Shape {
        /// The model's image shape.
        expected: [usize; 3],
        /// The shape of the batch it was given.
        got: [usize; 4],
    },
    /// Two batches that belong together have different shapes.
    #[error("{what} has shape {got:?}, expected {expected:?}")]
    Mismatch {
        /// Which array is at fault.
        what: &'static str,
        /// The shape it should have.
        expected: [usize; 4],
        /// The shape it has.
        got: [usize; 4],
    },
    /// A batch with one time per image came with another number of times.
    #[error("a batch of {expected} images needs {expected} times, got {got}")]
    Times {
        /// The number of images.
        expected: usize,
        /// The number of times.
        got: usize,
    },
    /// A time at which the model has no score.
    #[error("t = {t} is outside the schedule, whose times are 1..={max}")]
    Timestep {
        /// The time asked for.
        t: usize,
        /// T of the model's schedule.
        max: usize,
    },
    /// An array holds a NaN or an infinity.
    #[error("{what} at t = {t} holds a NaN or an infinity")]
    NonFinite {
        /// The time step.
        t: usize,
        /// Which array it is.
        what: &'static str,
    },
    /// The user asked to stop, with Ctrl-C: the whole program is to end. Whoever catches this keeps what is complete.
    #[error("interrupted")]
    Interrupted,
    /// An observer has seen enough: this run of the sampler is to end, and nothing is wrong. Whoever handed that
    /// observer over knows why, and goes on.
    #[error("stopped by an observer, which has seen enough")]
    Stopped,
    /// An observer failed at something of its own; the error is told as it is.
    #[error(transparent)]
    Observer(Box<dyn std::error::Error + Send + Sync>),
    /// The network or its device failed.
    #[error("{0}")]
    Backend(String),
}

impl ScoreError {
    /// An observer's own error; to be used as `.map_err(ScoreError::observer)`.
    #[must_use]
    pub fn observer(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Observer(error.into())
    }
}

/// Maps a cotangent `v` to `J_s(x_t)^T v`, the vector-Jacobian product of the score at the point it was evaluated at.
///
/// It can be called once: it owns what the forward pass left behind.
pub type Pullback<'a> = Box<dyn FnOnce(&Array4<f32>) -> Result<Array4<f32>, ScoreError> + 'a>;

/// A prior, as a sampler sees it: the score `s(x_t, t) = grad log p_t(x_t)` of every noisy marginal `p_t`.
///
/// The trait can be made into an object; samplers take `&dyn ScoreModel`.
pub trait ScoreModel {
    /// The shape `[C, H, W]` of one image.
    fn image_shape(&self) -> [usize; 3];

    /// The noise schedule that the model belongs to.
    fn schedule(&self) -> &Schedule;

    /// The score of each image of the batch `x_t` `[B, C, H, W]` at time `t`, in the shape of `x_t`.
    ///
    /// # Errors
    ///
    /// If the shape or `t` does not fit the model, or its backend fails.
    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError>;

    /// The score, and the map `v -> J_s(x_t)^T v` at the same point, image by image. Both together cost one forward and
    /// one backward pass.
    ///
    /// # Errors
    ///
    /// As for [`ScoreModel::score`]; the pullback fails if `v` has another shape than `x_t`.
    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError>;

    /// Checks that a batch and a time fit this model.
    ///
    /// # Errors
    ///
    /// [`ScoreError::Shape`] or [`ScoreError::Timestep`].
    fn check(&self, x_t: &ArrayRef4<f32>, t: usize) -> Result<(), ScoreError> {
        let (b, c, h, w) = x_t.dim();
        if [c, h, w] != self.image_shape() {
            return Err(ScoreError::Shape {
                expected: self.image_shape(),
                got: [b, c, h, w],
            });
        }
        let max = self.schedule().num_steps();
        if !(1..=max).contains(&t) {
            return Err(ScoreError::Timestep { t, max });
        }
        Ok(())
    }
}

/// Checks that `got` (named `what` in the error) has the shape of `like`.
pub(crate) fn check_same(what: &'static str, like: &ArrayRef4<f32>, got: &ArrayRef4<f32>) -> Result<(), ScoreError> {
    if like.dim() == got.dim() {
        return Ok(());
    }
    Err(ScoreError::Mismatch {
        what,
        expected: like.dim().into(),
        got: got.dim().into(),
    })
}

/// A model that counts how often it is asked, for tests of what a sampler costs.
#[derive(Debug)]
pub struct CountingModel<M> {
    inner: M,
    forwards: AtomicUsize,
    backwards: AtomicUsize,
}

impl<M: ScoreModel> CountingModel<M> {
    /// Counts the calls of `inner`.
    #[must_use]
    pub fn new(inner: M) -> Self {
        Self {
            inner,
            forwards: AtomicUsize::new(0),
            backwards: AtomicUsize::new(0),
        }
    }

    /// The model inside.
    #[must_use]
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// How many scores were computed, with or without a pullback.
    #[must_use]
    pub fn forwards(&self) -> usize {
        self.forwards.load(Ordering::Relaxed)
    }

    /// How many pullbacks were called.
    #[must_use]
    pub fn backwards(&self) -> usize {
        self.backwards.load(Ordering::Relaxed)
    }
}

impl<M: ScoreModel> ScoreModel for CountingModel<M> {
    fn image_shape(&self) -> [usize; 3] {
        self.inner.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.inner.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        self.inner.score(x_t, t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        let (score, pullback) = self.inner.score_with_pullback(x_t, t)?;
        let counted = move |v: &Array4<f32>| {
            self.backwards.fetch_add(1, Ordering::Relaxed);
            pullback(v)
        };
        Ok((score, Box::new(counted)))
    }
}
