//! How long a thread has computed, which a busy machine does not change.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What a thread did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// It computed.
    pub computed: Duration,
    /// It could have, but other threads had the processors.
    pub waited: Duration,
}

/// The clock of one thread. Only Linux tells: elsewhere there is none.
#[derive(Clone, Debug)]
pub(crate) struct Clock(PathBuf);

impl Clock {
    /// That of the thread which asks.
    pub fn of_this_thread() -> Option<Self> {
        let thread = fs::read_link("/proc/thread-self").ok()?;
        let clock = Self(PathBuf::from("/proc").join(thread).join("schedstat"));
        clock.read().map(|_| clock)
    }

    /// The kernel's numbers; nothing once the thread has ended.
    pub fn read(&self) -> Option<Spent> {
        let text = fs::read_to_string(&self.0).ok()?;
        let mut nanoseconds = text.split_whitespace().map(str::parse);
        let mut next = || Some(Duration::from_nanos(nanoseconds.next()?.ok()?));
        Some(Spent {
            computed: next()?,
            waited: next()?,
        })
    }
}

/// What this thread does in a call, as far as the system tells.
pub(crate) fn clocked<T>(call: impl FnOnce() -> T) -> (T, Option<Spent>) {
    let clock = Clock::of_this_thread();
    let before = clock.as_ref().and_then(Clock::read);
    let result = call();
    let after = clock.as_ref().and_then(Clock::read);
    let spent = before.zip(after).map(|(before, after)| Spent {
        computed: after.computed.saturating_sub(before.computed),
        waited: after.waited.saturating_sub(before.waited),
    });
    (result, spent)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn sleep_is_not_computing() {
        if Clock::of_this_thread().is_none() {
            return; // A kernel without these statistics.
        }
        let ((), slept) = clocked(|| thread::sleep(Duration::from_millis(60)));
        let ((), worked) = clocked(|| {
            let clock = Instant::now();
            while clock.elapsed() < Duration::from_millis(60) {
                black_box(0);
            }
        });
        let [slept, worked] = [slept, worked].map(Option::unwrap_or_default);
        assert!(slept.computed < Duration::from_millis(20), "{slept:?}");
        // What it did not compute, others did.
        assert!(
            worked.computed + worked.waited > Duration::from_millis(40),
            "{worked:?}"
        );
    }
}
