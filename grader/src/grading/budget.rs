//! How long one submission may take, so that one that sleeps everywhere does not keep the others waiting.

use std::time::{Duration, Instant};

/// After so many checks of a task that ran out of time, each further one gets only a short while.
const PATIENCE: usize = 2;
const SHORT: Duration = Duration::from_secs(5);

/// The time that is left to a submission.
pub struct Budget {
    start: Instant,
    all: Duration,
    timeouts: usize,
}

impl Budget {
    /// So much, from now on.
    #[must_use]
    pub fn new(all: Duration) -> Self {
        Self {
            start: Instant::now(),
            all,
            timeouts: 0,
        }
    }

    /// What is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.all.saturating_sub(self.start.elapsed())
    }

    /// Patience is counted anew for each task.
    pub fn begin_task(&mut self) {
        self.timeouts = 0;
    }

    /// A check ran out of time.
    pub fn note_timeout(&mut self) {
        self.timeouts += 1;
    }

    /// The time for a check that may usually take `usual`; none where nothing is left.
    #[must_use]
    pub fn for_check(&self, usual: Duration) -> Option<Duration> {
        let usual = if self.timeouts >= PATIENCE { SHORT } else { usual };
        let time = usual.min(self.left());
        (!time.is_zero()).then_some(time)
    }

    /// What is said of what was not run.
    #[must_use]
    pub fn spent(&self) -> String {
        format!(
            "Not run: a submission may take {} s altogether, and this one has.",
            self.all.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_begins_anew_with_a_task() {
        let (mut budget, usual) = (Budget::new(Duration::from_secs(3600)), Duration::from_secs(20));
        budget.note_timeout();
        assert_eq!(budget.for_check(usual), Some(usual));
        budget.note_timeout();
        assert_eq!(budget.for_check(usual), Some(SHORT));
        budget.begin_task();
        assert_eq!(budget.for_check(usual), Some(usual));
        assert_eq!(Budget::new(Duration::ZERO).for_check(usual), None);
    }
}
