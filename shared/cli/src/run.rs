//! A task's command line from start to end: Ctrl-C, panics, errors and the exit status.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Result;
use diffusion::ScoreError;
use program::{Signal, USER_ERROR, catch_signals, explain, say, stop_asked};

use crate::options::CommonOptions;
use crate::session::Session;

const PANICKED: u8 = 101;

/// What the last panic said; it is shown once the progress bars are out of the way.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs a task: sets up threads, signals and the output folder, calls `main`, says what was written, and turns an error
/// or a panic into a message and an exit status.
pub fn run(task: &str, options: &CommonOptions, main: impl FnOnce(&mut Session) -> Result<()> + Send) -> ExitCode {
    if catch_signals("stopping after this step (once more to stop at once)").is_err() {
        say("note: Ctrl-C cannot be caught here, and will end the program at once");
    }
    catch_panics();
    let mut session = match Session::new(task, options) {
        Ok(session) => session,
        Err(error) => return end_with_error(&error),
    };
    // Inside the thread pool: each parallel loop that is started from outside costs two thread switches.
    let in_pool = || rayon::scope(|_| main(&mut session));
    match panic::catch_unwind(AssertUnwindSafe(in_pool)) {
        Ok(Ok(())) => end_well(&session.written()),
        Ok(Err(error)) if was_interrupted(&error) => end_interrupted(&session.written()),
        Ok(Err(error)) => end_with_error(&error),
        Err(payload) => end_with_panic(task, payload.as_ref()),
    }
}

fn end_well(written: &str) -> ExitCode {
    if !written.is_empty() {
        say(&format!("wrote {written}"));
    }
    ExitCode::SUCCESS
}

fn end_interrupted(written: &str) -> ExitCode {
    if written.is_empty() {
        say("interrupted; nothing was written");
    } else {
        say(&format!("interrupted; wrote {written}"));
    }
    ExitCode::from(stop_asked().map_or(USER_ERROR, Signal::exit_status))
}

fn end_with_error(error: &anyhow::Error) -> ExitCode {
    say(&format!("error: {}", explain(error)));
    ExitCode::from(USER_ERROR)
}

fn end_with_panic(task: &str, payload: &(dyn Any + Send)) -> ExitCode {
    let (message, unfinished) = describe_panic(task, payload);
    say(&format!("error: {message}"));
    ExitCode::from(if unfinished { USER_ERROR } else { PANICKED })
}

/// An error after Ctrl-C or another signal that asks to stop, for loops that no sampler's observer watches.
///
/// # Errors
///
/// [`ScoreError::Interrupted`] once the user has asked to stop.
pub fn check_interrupted() -> Result<(), ScoreError> {
    stop_asked().map_or(Ok(()), |_| Err(ScoreError::Interrupted))
}

/// Whether it comes of [`check_interrupted`].
pub(crate) fn was_interrupted(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| matches!(cause.downcast_ref(), Some(ScoreError::Interrupted)))
}

/// From now on the place of a panic is kept for [`explain_panic`], and nothing is printed of it unless `RUST_BACKTRACE`
/// asks for it.
pub fn catch_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let place = info
            .location()
            .map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
        if let Ok(mut last) = PANIC.lock() {
            *last = Some(place);
        }
        if wants_backtrace() && unfinished(panic_message(info.payload())).is_none() {
            default(info);
        }
    }));
}

/// What the panic that was caught last means to the user, in a sentence: an exercise that is not done yet, or what the
/// code said and where. [`catch_panics`] must have been called before it.
///
/// - `program`: the package whose tests show how far an exercise is, where the panic's place does not name a task
/// - `payload`: from [`panic::catch_unwind`]
#[must_use]
pub fn explain_panic(program: &str, payload: &(dyn Any + Send)) -> String {
    describe_panic(program, payload).0
}

/// The task that a file belongs to: `task6_dps` of `tasks/task6_dps/src/lib.rs:38`.
fn task_of(place: &str) -> Option<&str> {
    let mut folders = place.split(['/', '\\']).skip_while(|folder| *folder != "tasks");
    folders.nth(1)
}

/// What a panic means to the user, and whether it is an exercise that is not done yet.
fn describe_panic(task: &str, payload: &(dyn Any + Send)) -> (String, bool) {
    let text = panic_message(payload);
    let place = PANIC.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
    if let Some(what) = unfinished(text) {
        let task = task_of(&place).unwrap_or(task);
        let message = format!("not implemented yet: {what} in {place}; `cargo test -p {task}` shows how far you are");
        return (message, true);
    }
    let hint = if wants_backtrace() {
        ""
    } else {
        "; RUST_BACKTRACE=1 shows how it came there"
    };
    (format!("the code panicked at {place}: {text}{hint}"), false)
}

/// What a panic said; `payload` comes from a panic hook or from [`panic::catch_unwind`].
#[must_use]
pub fn panic_message<'a>(payload: &'a (dyn Any + 'static)) -> &'a str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// What `todo!` or `unimplemented!` said, if it was one of them that panicked with this message.
#[must_use]
pub fn unfinished(message: &str) -> Option<&str> {
    let starts = ["not yet implemented", "not implemented"];
    let rest = starts.iter().find_map(|start| message.strip_prefix(start))?;
    let what = rest.trim_start_matches(':').trim();
    Some(if what.is_empty() { "an exercise" } else { what })
}

fn wants_backtrace() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_exercise_is_named() {
        let payload: Box<dyn Any + Send> = Box::new("not yet implemented: Task 2.1: mix image and noise".to_owned());
        let (message, unfinished) = describe_panic("task2_denoise", payload.as_ref());
        assert!(unfinished);
        assert!(
            message.starts_with("not implemented yet: Task 2.1: mix image and noise in "),
            "{message}"
        );
        assert!(message.contains("cargo test -p task2_denoise"), "{message}");
        let (message, unfinished) = describe_panic("task2_denoise", &"index out of bounds");
        assert!(!unfinished && message.contains("index out of bounds"), "{message}");
    }

    #[test]
    fn an_exercise_is_known_by_its_folder() {
        assert_eq!(task_of("tasks/task6_dps/src/lib.rs:38"), Some("task6_dps"));
        assert_eq!(task_of("tasks\\task6_dps\\src\\lib.rs:38"), Some("task6_dps"));
        assert_eq!(task_of("methods/src/parts.rs:38"), None);
    }

    #[test]
    fn an_interruption_is_found_behind_context() {
        let error = anyhow::Error::from(ScoreError::Interrupted).context("sampling");
        assert!(was_interrupted(&error));
        assert!(!was_interrupted(&anyhow::anyhow!("something else")));
    }
}
