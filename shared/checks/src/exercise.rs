//! Exercises that stand on each other: the first fault is told first, and what stands on it waits.

use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;

/// An exercise, or one thing that is asked of it; its examination runs once, whichever test asks first.
pub struct Exercise {
    name: &'static str,
    needs: &'static [&'static Exercise],
    after: Option<&'static Exercise>,
    examine: fn() -> Result<(), Fault>,
    verdict: OnceLock<Result<(), Fault>>,
    is_told: AtomicBool,
}

impl Exercise {
    /// - `name`: its number and function, `3.1 ddpm_step_direct`
    /// - `examine`: what is wrong with it
    #[must_use]
    pub const fn new(name: &'static str, examine: fn() -> Result<(), Fault>) -> Self {
        Self {
            name,
            needs: &[],
            after: None,
            examine,
            verdict: OnceLock::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// The same, of which nothing is said as long as one of these is wrong.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [&'static Exercise]) -> Self {
        self.needs = needs;
        self
    }

    /// The same, whose fault is told after that of the exercise before it.
    #[must_use]
    pub const fn after(mut self, before: &'static Exercise) -> Self {
        self.after = Some(before);
        self
    }

    /// What is wrong with it; of one that stands on another that is wrong, only that it has to wait.
    ///
    /// # Errors
    ///
    /// The fault.
    pub fn verdict(&self) -> Result<(), Fault> {
        if let Some(wrong) = self.first_wrong_need() {
            let why = if wrong.is_unwritten() {
                "is not written yet"
            } else {
                "is wrong"
            };
            return Err(Fault::new(format!("{}: wait: {} {why}", self.name, wrong.name)));
        }
        let verdict = self.verdict.get_or_init(|| {
            (self.examine)().map_err(|fault| {
                // The sentence often begins with the name of the function already.
                let (number, function) = self.name.split_once(' ').unwrap_or((self.name, self.name));
                let names_it = fault.hint().starts_with(function);
                fault.about(if names_it { number } else { self.name })
            })
        });
        verdict.clone()
    }

    fn first_wrong_need(&self) -> Option<&'static Exercise> {
        self.needs.iter().copied().find_map(|need| {
            need.first_wrong_need()
                .or_else(|| need.verdict().is_err().then_some(need))
        })
    }

    fn is_unwritten(&self) -> bool {
        self.verdict()
            .is_err_and(|fault| fault.hint().contains("is not written yet"))
    }

    /// Ends the test that calls it: well, or with the fault as all that the test says.
    ///
    /// # Panics
    ///
    /// If the exercise is wrong.
    pub fn tell(&self) {
        let Err(fault) = self.verdict() else { return };
        self.let_earlier_ones_speak();
        println!("{fault}");
        self.is_told.store(true, Ordering::Release);
        // No panic message: the fault is all that there is to read.
        panic::resume_unwind(Box::new(()));
    }

    /// Failures are shown in the order in which tests end, and tests run side by side.
    fn let_earlier_ones_speak(&self) {
        const PATIENCE: Duration = Duration::from_millis(400);
        let clock = Instant::now();
        let mut before = self.after;
        while let Some(earlier) = before {
            before = earlier.after;
            if earlier.verdict().is_ok() {
                continue;
            }
            // Its test may have been left out, as by `cargo test NAME`.
            while !earlier.is_told.load(Ordering::Acquire) && clock.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIRST: Exercise = Exercise::new("1.1 f", || Err(Fault::new("off by one")));
    static SECOND: Exercise = Exercise::new("1.2 g", || Ok(())).needs(&[&FIRST]).after(&FIRST);
    static THIRD: Exercise = Exercise::new("1.3 h", || Err(Fault::new("h panicked"))).after(&SECOND);

    #[test]
    fn what_stands_on_a_fault_waits() {
        assert_eq!(FIRST.verdict().unwrap_err().to_string(), "1.1 f: off by one");
        assert_eq!(SECOND.verdict().unwrap_err().to_string(), "1.2 g: wait: 1.1 f is wrong");
        assert_eq!(THIRD.verdict().unwrap_err().to_string(), "1.3: h panicked");
    }
}
