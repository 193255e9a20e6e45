//! Signals that ask a program to stop: it ends after what it is doing, and says with its exit status which it was.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::print::say;

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// HUP, number 1: the terminal was closed.
    HangUp = 1,
    /// INT, number 2: Ctrl-C.
    Interrupt = 2,
    /// TERM, number 15: what `kill` sends, and a machine that shuts down.
    Terminate = 15,
}

impl Signal {
    const ALL: [Self; 3] = [Self::HangUp, Self::Interrupt, Self::Terminate];

    /// The exit status of a program that it ended, as shells count: 128 plus its number, so 129, 130 or 143.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        128 + self as u8
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| *signal as u8 == number)
    }
}

/// The number of the first signal that came; 0 for none.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// The signal that asked the program to stop, once one has.
#[must_use]
pub fn stop_asked() -> Option<Signal> {
    Signal::of_number(ASKED.load(Ordering::SeqCst))
}

/// From now on the first signal is kept for [`stop_asked`] and answered with a line on standard error, `promise`, which
/// says what will be done. Another INT or TERM ends the program at once; another HUP does not, since a closed terminal
/// often sends two.
///
/// A signal that was ignored when the program began is left alone: that is what `nohup` does with HUP, and a shell with
/// the INT of what it runs in the background.
///
/// # Errors
///
/// What the operating system says; the signals then end the program as always.
pub fn catch_signals(promise: &'static str) -> io::Result<()> {
    listen(move |signal| {
        let first = ASKED.compare_exchange(0, signal as u8, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            say(&format!("\n{promise}"));
        } else if signal != Signal::HangUp {
            std::process::exit(i32::from(signal.exit_status()));
        }
    })
}

#[cfg(unix)]
fn listen(answer: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let wanted = Signal::ALL
        .into_iter()
        .filter(|signal| !crate::ignored::is_ignored(*signal));
    let mut signals = signal_hook::iterator::Signals::new(wanted.map(|signal| signal as i32))?;
    let wait = move || {
        let numbers = signals.forever().filter_map(|number| u8::try_from(number).ok());
        numbers.filter_map(Signal::of_number).for_each(answer);
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

#[cfg(not(unix))]
fn listen(answer: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(move || answer(Signal::Interrupt)).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_know_the_exit_status() {
        let status = Signal::ALL.map(Signal::exit_status);
        assert_eq!(status, [129, 130, 143]);
        assert_eq!(Signal::of_number(15), Some(Signal::Terminate));
        assert_eq!(Signal::of_number(0), None);
    }
}
