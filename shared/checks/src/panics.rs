//! What a panic in a student's function says, and at which line of theirs.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// What a panic on this thread said, and where it was; nothing where panics are nobody's business.
    static SAID: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// What `call` returns, or what its panic said and where, in place of a panic.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    listen_to_panics();
    SAID.set(Some(None));
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    let said = SAID.take().flatten();
    outcome.map_err(|_| said.unwrap_or_default())
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
            let place = line_of_the_task(&Backtrace::force_capture().to_string()).or_else(|| {
                let at = info.location().filter(|at| !is_of_a_library(at.file()))?;
                Some(format!("{}:{}", short(at.file()), at.line()))
            });
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

/// `src/lib.rs:68` of the first line of a backtrace that lies in a task's library. `cargo test` runs in the task's
/// folder, of which a backtrace shows the part below only.
fn line_of_the_task(backtrace: &str) -> Option<String> {
    let is_task = |line: &&str| {
        line.trim_start().starts_with("at ./src/") || line.contains("tasks/task") && line.contains("/src/")
    };
    let line = backtrace.lines().find(is_task)?;
    let (path, _) = line.trim().trim_start_matches("at ").rsplit_once(':')?;
    Some(short(path))
}

/// Whether a file is one that the reader of the message does not have before them.
fn is_of_a_library(file: &str) -> bool {
    file.contains("/registry/src/") || file.starts_with("/rustc/")
}

fn short(path: &str) -> String {
    path.rfind("src/").map_or(path, |at| &path[at..]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_library_is_not_told() {
        assert!(is_of_a_library(
            "/home/x/.cargo/registry/src/index/ndarray-0.17.2/src/arraytraits.rs"
        ));
        assert!(!is_of_a_library("tasks/task4_sdedit/src/lib.rs"));
    }

    #[test]
    fn the_line_of_the_task_is_found() {
        let text = "  12: core::x\n             at /rustc/1/panicking.rs:1:2\n  13: task3::f\n             at \
                    ./tasks/task3_generate/src/lib.rs:68:9\n";
        assert_eq!(line_of_the_task(text).as_deref(), Some("src/lib.rs:68"));
        let from_its_folder = text.replace("./tasks/task3_generate/src", "./src");
        assert_eq!(line_of_the_task(&from_its_folder).as_deref(), Some("src/lib.rs:68"));
    }
}
