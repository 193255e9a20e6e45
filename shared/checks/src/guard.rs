//! Calls a student's function, whatever it does: it may panic, or never come back.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;

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
}

thread_local! {
    /// What a panic on this thread said, and where it was; nothing where panics are nobody's business.
    static SAID: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
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
        listen_to_panics();
        let (sender, receiver) = channel();
        let clock = Instant::now();
        thread::spawn(move || {
            SAID.set(Some(None));
            let outcome = panic::catch_unwind(AssertUnwindSafe(call));
            let said = SAID.take().flatten();
            drop(sender.send(outcome.map_err(|_| said.unwrap_or_default())));
        });
        let answer = receiver.recv_timeout(self.left);
        let took = clock.elapsed();
        self.left = self.left.saturating_sub(took);
        if answer.is_ok() {
            self.came_back += 1;
            self.longest = self.longest.max(took);
        }
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(said)) if said.contains("not yet implemented") => {
                Err(Fault::new(format!("{} is not written yet ({said})", self.what)))
            }
            Ok(Err(said)) => Err(Fault::new(format!("{} panicked: {said}", self.what)).fact(format!("fed: {fed}"))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(self.out_of_time(took).fact(format!("fed: {fed}")))
            }
        }
    }

    /// A call that never ends cannot be told from a slow one, but what the calls before it took can be said.
    ///
    /// - `waited`: for the call that did not come back
    fn out_of_time(&self, waited: Duration) -> Fault {
        let (what, limit) = (&self.what, self.limit.as_secs_f64());
        if self.came_back == 0 || waited > self.limit / 2 {
            let waited = waited.as_secs_f64();
            return Fault::new(format!(
                "{what} did not come back within {waited:.0} s, where it should take milliseconds"
            ));
        }
        Fault::new(format!(
            "{what} is slow: {} calls and one that was not waited for took {limit:.0} s in all; each should take \
             milliseconds",
            self.came_back
        ))
        .fact(format!(
            "the longest of those that came back took {:.1} s",
            self.longest.as_secs_f64()
        ))
    }
}

/// Keeps what panics on a guarded thread say, in place of printing it.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_guarded = SAID.with_borrow(Option::is_some);
            if !is_guarded {
                return before(info);
            }
            let message = said_by(info.payload()).trim();
            // The panic may lie deep inside of ndarray; what helps is the line of the task that led there.
            let place = line_of_the_task(&Backtrace::force_capture().to_string())
                .or_else(|| info.location().map(|at| format!("{}:{}", short(at.file()), at.line())));
            let place = place.map_or_else(String::new, |place| format!(", at {place}"));
            let message: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
            let message: String = message.chars().take(300).collect();
            SAID.set(Some(Some(format!("{message}{place}"))));
        }));
    });
}

fn said_by(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// `src/lib.rs:68` of the first line of a backtrace that lies in a task's library.
fn line_of_the_task(backtrace: &str) -> Option<String> {
    let is_task = |line: &&str| line.contains("tasks/task") && line.contains("/src/");
    let line = backtrace.lines().find(is_task)?;
    let (path, _) = line.trim().trim_start_matches("at ").rsplit_once(':')?;
    Some(short(path))
}

fn short(path: &str) -> String {
    path.rfind("src/").map_or(path, |at| &path[at..]).to_owned()
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
        let slow = || thread::sleep(Duration::from_millis(150));
        let fault = (0..10)
            .find_map(|_| guard.call("1", slow).err())
            .expect("the time is up");
        assert!(fault.hint().starts_with("f is slow: "), "{fault}");
    }

    #[test]
    fn the_line_of_the_task_is_found() {
        let text = "  12: core::x\n             at /rustc/1/panicking.rs:1:2\n  13: task3::f\n             at \
                    ./tasks/task3_generate/src/lib.rs:68:9\n";
        assert_eq!(line_of_the_task(text).as_deref(), Some("src/lib.rs:68"));
    }
}
