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
            let is_unwritten = wrong.is_unwritten();
            // What is not written itself says so: a beginner sees all that is to do.
            if is_unwritten && self.is_unwritten() {
                return self.examined();
            }
            let why = if is_unwritten { "is not written yet" } else { "is wrong" };
            return Err(Fault::new(format!("{}: wait: {} {why}", self.name, wrong.name)));
        }
        self.examined()
    }

    /// The verdict whatever it stands on.
    fn examined(&self) -> Result<(), Fault> {
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

    /// Whether the `todo!` of this exercise itself stands there.
    fn is_unwritten(&self) -> bool {
        let (number, _) = self.name.split_once(' ').unwrap_or((self.name, ""));
        let says = |fault: Fault| {
            let hint = fault.hint();
            hint.contains("is not written yet") && hint.contains(&format!("Task {number}:"))
        };
        self.examined().is_err_and(says)
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

    static TO_DO: Exercise = Exercise::new("2.1 f", || unwritten("Task 2.1: f"));
    static DONE: Exercise = Exercise::new("2.2 g", || unwritten("Task 2.1: f")).needs(&[&TO_DO]);
    static TO_DO_LATER: Exercise = Exercise::new("2.3 h", || unwritten("Task 2.3: h")).needs(&[&TO_DO, &DONE]);

    fn unwritten(todo: &str) -> Result<(), Fault> {
        Err(Fault::new(format!("is not written yet ({todo})")))
    }

    #[test]
    fn what_is_to_do_is_told() {
        let says = |exercise: &Exercise| exercise.verdict().unwrap_err().to_string();
        assert!(says(&TO_DO).contains("Task 2.1: f"));
        assert_eq!(says(&DONE), "2.2 g: wait: 2.1 f is not written yet");
        assert!(says(&TO_DO_LATER).contains("Task 2.3: h"));
    }

    #[test]
    fn what_stands_on_a_fault_waits() {
        assert_eq!(FIRST.verdict().unwrap_err().to_string(), "1.1 f: off by one");
        assert_eq!(SECOND.verdict().unwrap_err().to_string(), "1.2 g: wait: 1.1 f is wrong");
        assert_eq!(THIRD.verdict().unwrap_err().to_string(), "1.3: h panicked");
    }
}
