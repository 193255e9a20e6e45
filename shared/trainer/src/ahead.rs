//! Batches, drawn while the network trains on those before them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use diffusion::{Schedule, ScoreError};
use imaging::PixelSet;

use crate::augment::Changes;
use crate::batch::{TrainingBatch, draw_batch};

/// What decides the batches of a training, beside its images.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub schedule: Schedule,
    pub size: usize,
    pub changes: Changes,
    pub seed: u64,
}

impl Recipe {
    fn draw(&self, images: &PixelSet, step: u64) -> Result<TrainingBatch, ScoreError> {
        draw_batch(images, &self.schedule, self.size, self.changes, self.seed, step)
    }
}

/// How many threads draw: a GPU trains on a batch in the time that one thread needs for it.
const THREADS: u64 = 4;

type Drawn = (u64, Result<TrainingBatch, ScoreError>);

/// The batches of a training, one after the other, drawn by threads that take turns. A batch depends on seed and step
/// alone, so they are the same that [`draw_batch`] gives.
#[derive(Debug)]
pub struct Ahead {
    /// What each thread has drawn; that of step `s` comes from number `s % THREADS`.
    drawn: Vec<Receiver<Drawn>>,
}

impl Ahead {
    /// Starts drawing, beginning with the batch of step number `first`; the threads end with this value.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        images: &'scope PixelSet,
        recipe: Recipe,
        first: u64,
    ) -> Self {
        let thread = |turn: u64| {
            let recipe = recipe.clone();
            // Each has one batch waiting here and one being drawn.
            let (sender, drawn) = sync_channel(1);
            scope.spawn(move || {
                for step in (first..).filter(|step| step % THREADS == turn) {
                    let batch = recipe.draw(images, step);
                    if sender.send((step, batch)).is_err() {
                        break;
                    }
                }
            });
            drawn
        };
        Self {
            drawn: (0..THREADS).map(thread).collect(),
        }
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
        let gone = |_| ScoreError::Backend("a thread that draws batches has ended".into());
        let turn = (step % THREADS) as usize;
        let (drawn_for, batch) = self.drawn[turn].recv().map_err(gone)?;
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
            changes: Changes {
                colour_jitter: 0.1,
                rotation: 3.0,
            },
            seed: 5,
        };
        std::thread::scope(|scope| {
            let mut ahead = Ahead::start(scope, &images, recipe.clone(), 7);
            for step in 7..16 {
                assert_eq!(ahead.next(step).unwrap(), recipe.draw(&images, step).unwrap());
            }
        });
    }
}
