//! How long a training is.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;

/// How long to train altogether, earlier runs counted in, so that a resumed training follows the same learning-rate
/// curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Length {
    /// So many minutes; validation and previews do not count.
    Minutes(f64),
    /// So many optimiser steps.
    Steps(u64),
}

impl Length {
    /// The part of the training that is over: from 0, and 1 or more once it is done.
    #[must_use]
    pub fn fraction(&self, counters: &Checkpoint) -> f64 {
        match self {
            Self::Minutes(minutes) => counters.seconds / (60.0 * minutes),
            Self::Steps(steps) => counters.step as f64 / *steps as f64,
        }
    }

    /// How many minutes it will still take at the speed it had so far.
    #[must_use]
    pub fn minutes_left(&self, counters: &Checkpoint) -> f64 {
        let fraction = self.fraction(counters).max(1e-9);
        (counters.seconds / 60.0 * (1.0 / fraction - 1.0)).max(0.0)
    }
}
