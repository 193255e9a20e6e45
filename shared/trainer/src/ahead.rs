//! Batches, each drawn while the network trains on the one before it.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use diffusion::{Schedule, ScoreError};
use imaging::PixelSet;

use crate::batch::{TrainingBatch, draw_batch};

/// What decides the batches of a training, beside its images.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub schedule: Schedule,
    pub size: usize,
    pub jitter: f32,
    pub seed: u64,
}

impl Recipe {
    fn draw(&self, images: &PixelSet, step: u64) -> Result<TrainingBatch, ScoreError> {
        draw_batch(images, &self.schedule, self.size, self.jitter, self.seed, step)
    }
}

/// The batches of a training, one after the other, from a thread of their own. A batch depends on seed and step alone,
/// so they are the same that [`draw_batch`] gives.
#[derive(Debug)]
pub struct Ahead {
    drawn: Receiver<(u64, Result<TrainingBatch, ScoreError>)>,
}

impl Ahead {
    /// Starts drawing, beginning with the batch of step number `first`; the thread ends with this value.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        images: &'scope PixelSet,
        recipe: Recipe,
        first: u64,
    ) -> Self {
        // One is being used, one waits here, one is being drawn.
        let (sender, drawn) = sync_channel(1);
        scope.spawn(move || {
            for step in first.. {
                let batch = recipe.draw(images, step);
                if sender.send((step, batch)).is_err() {
                    break;
                }
            }
        });
        Self { drawn }
    }

    /// The next batch.
    ///
    /// # Errors
    ///
    /// As [`draw_batch`].
    ///
    /// # Panics
    ///
    /// If it is not that of `step`: a training that failed in a step begins with new batches.
    pub(crate) fn next(&mut self, step: u64) -> Result<TrainingBatch, ScoreError> {
        let gone = |_| ScoreError::Backend("the thread that draws the batches has ended".into());
        let (drawn_for, batch) = self.drawn.recv().map_err(gone)?;
        assert_eq!(drawn_for, step, "the batch of step {drawn_for} came at step {step}");
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batches_are_those_of_their_steps() {
        let images = PixelSet {
            names: vec!["0.png".into(), "1.png".into()],
            pixels: (0..=255).cycle().take(2 * 3 * 64).collect(),
            count: 2,
            size: 8,
            ..PixelSet::default()
        };
        let recipe = Recipe {
            schedule: Schedule::linear(),
            size: 3,
            jitter: 0.1,
            seed: 5,
        };
        std::thread::scope(|scope| {
            let mut ahead = Ahead::start(scope, &images, recipe.clone(), 7);
            for step in 7..12 {
                assert_eq!(ahead.next(step).unwrap(), recipe.draw(&images, step).unwrap());
            }
        });
    }
}
