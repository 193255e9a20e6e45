//! Calls a student's function, whatever it does: it may panic, or never come back.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Spent, clocked};
use crate::fault::Fault;
use crate::panics::caught;
use crate::speed;

/// For a formula, whose arrays are tiny.
pub const FORMULA: Duration = Duration::from_secs(5);
/// For all runs of a sampler that one check needs.
pub const SAMPLER: Duration = Duration::from_secs(20);

/// What is left of the time that an exercise may take. Only the student's own code uses it up.
#[derive(Debug)]
pub struct Guard {
    what: String,
    limit: Duration,
    left: Duration,
    /// How many calls came back, and how long the longest of them took.
    came_back: usize,
    longest: Duration,
    /// By all calls so far, and by the last of them.
    computed: Option<Duration>,
    last: Option<Duration>,
    /// Whether its slowness has been told.
    is_remarked: bool,
}

impl Guard {
    /// For a function by its name, with [`FORMULA`] or [`SAMPLER`].
    #[must_use]
    pub fn new(what: impl Into<String>, limit: Duration) -> Self {
        Self {
            what: what.into(),
            limit,
            left: limit,
            came_back: 0,
            longest: Duration::ZERO,
            computed: Some(Duration::ZERO),
            last: None,
            is_remarked: false,
        }
    }

    /// What `call` returns; it runs on a thread of its own, which is left alone where it does not come back.
    ///
    /// - `fed`: what it is called with, for messages
    ///
    /// # Errors
    ///
    /// A panic, or the time is up.
    pub fn call<T: Send + 'static>(
        &mut self,
        fed: &str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let answer = Called::start(call).wait(self.left);
        self.left = self.left.saturating_sub(answer.took);
        if answer.outcome.is_some() {
            self.came_back += 1;
            self.longest = self.longest.max(answer.took);
        }
        self.last = answer.computed;
        self.computed = self.computed.zip(answer.computed).map(|(sum, more)| sum + more);
        match answer.outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(said)) if said.contains("not yet implemented") => {
                Err(Fault::new(format!("{} is not written yet ({said})", self.what)))
            }
            Some(Err(said)) => Err(Fault::new(format!("{} panicked: {said}", self.what)).fact(format!("fed: {fed}"))),
            None => Err(self.out_of_time(answer.on_the_clock).fact(format!("fed: {fed}"))),
        }
    }

    /// How long all calls together have computed, as far as the system tells.
    #[must_use]
    pub fn computed(&self) -> Option<Duration> {
        self.computed
    }

    /// Says on standard error, once, where the last call took 100 times as long as the model that it asked.
    ///
    /// - `needed`: what the model computed
    pub fn remark_if_slower_than(&mut self, needed: impl FnMut()) {
        if self.is_remarked {
            return;
        }
        self.is_remarked = speed::remark_on_sampler(&self.what, speed::at_most(needed), self.last);
    }

    /// A call that never ends cannot be told from a slow one, but what the calls before it took can be said.
    ///
    /// - `waited`: for the call that did not come back
    fn out_of_time(&self, waited: Duration) -> Fault {
        let (what, limit) = (&self.what, self.limit.as_secs_f64());
        let computed = self.computed.map(|computed| {
            let seconds = computed.as_secs_f64();
            // What is left of the limit is not used up by waiting for a processor.
            let rest = if computed < (self.limit - self.left) / 10 {
                "; the rest of the time it slept, or waited for something"
            } else {
                ""
            };
            format!("it computed for {seconds:.1} s of them{rest}")
        });
        let fault = if self.came_back == 0 || waited > self.limit / 2 {
            let waited = waited.as_secs_f64();
            Fault::new(format!(
                "{what} did not come back within {waited:.0} s, where it should take milliseconds"
            ))
        } else {
            Fault::new(format!(
                "{what} is slow: {} calls and one that was not waited for took {limit:.0} s in all; each should take \
                 milliseconds",
                self.came_back
            ))
            .fact(format!(
                "the longest of those that came back took {:.1} s",
                self.longest.as_secs_f64()
            ))
        };
        computed.into_iter().fold(fault, Fault::fact)
    }
}

/// A call on a thread of its own.
struct Called<T> {
    clock: Option<Clock>,
    start: Instant,
    answers: Receiver<(Result<T, String>, Option<Spent>)>,
}

/// What came of it.
struct Answer<T> {
    /// What came back, or what a panic said; nothing where nothing came in time.
    outcome: Option<Result<T, String>>,
    on_the_clock: Duration,
    /// The same but for the time in which other programs had the processors.
    took: Duration,
    computed: Option<Duration>,
}

impl<T: Send + 'static> Called<T> {
    fn start(call: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, answers) = channel();
        let (clocks, clock) = channel();
        let start = Instant::now();
        thread::spawn(move || {
            drop(clocks.send(Clock::of_this_thread()));
            drop(sender.send(clocked(|| caught(call))));
        });
        Self {
            clock: clock.recv().ok().flatten(),
            start,
            answers,
        }
    }

    fn wait(self, limit: Duration) -> Answer<T> {
        match self.answers.recv_timeout(limit) {
            Ok((outcome, spent)) => self.answer(Some(outcome), spent),
            Err(_) => self.answer(None, self.spent()),
        }
    }

    fn spent(&self) -> Option<Spent> {
        self.clock.as_ref().and_then(Clock::read)
    }

    fn answer(&self, outcome: Option<Result<T, String>>, spent: Option<Spent>) -> Answer<T> {
        let waited = spent.map_or(Duration::ZERO, |spent| spent.waited);
        let on_the_clock = self.start.elapsed();
        Answer {
            outcome,
            on_the_clock,
            took: on_the_clock.saturating_sub(waited),
            computed: spent.map(|spent| spent.computed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_there_is_an_answer() {
        let mut guard = Guard::new("f", Duration::from_millis(300));
        assert_eq!(guard.call("1", || 2), Ok(2));
        let numbers: Vec<i32> = (1..=3).collect();
        let fault = guard.call("3", move || numbers[numbers.len()]).unwrap_err().to_string();
        assert!(
            fault.contains("index out of bounds: the len is 3 but the index is 3"),
            "{fault}"
        );
        let fault = guard.call("4", || -> u8 { todo!("Task 9.9") }).unwrap_err().to_string();
        assert!(fault.contains("not written yet") && fault.contains("9.9"), "{fault}");
        let fault = guard
            .call("5", || thread::sleep(Duration::from_secs(2)))
            .unwrap_err()
            .to_string();
        assert!(fault.contains("did not come back"), "{fault}");
    }

    #[test]
    fn many_slow_calls_are_not_one_that_hangs() {
        let mut guard = Guard::new("f", Duration::from_millis(500));
        let slow = || thread::sleep(Duration::from_millis(90));
        let fault = (0..10)
            .find_map(|_| guard.call("1", slow).err())
            .expect("the time is up");
        assert!(fault.hint().starts_with("f is slow: "), "{fault}");
    }
}
