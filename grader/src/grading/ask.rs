//! Runs a worker on requests, in the sandbox, and takes its answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use exchange::{Message, decode, encode};
use sandbox::{End, Finished, Isolation, Limits, Policy};

use crate::grading::compile::{Worker, system};
use crate::grading::kit::Kit;
use crate::grading::scratch;

/// The name of the file with the answers.
const ANSWERS: &str = "answers";
/// The most bytes of answers that are read.
const MOST_BYTES: u64 = 64 << 20;
/// How a line begins that says nothing to a student: the program does not run on their machine.
const BACKTRACE_HINT: &str = "note: run with `RUST_BACKTRACE";
/// So much of what a program printed is shown to the student, in characters.
const SHOWN: usize = 3000;

/// What one check may use; a check sets the time.
#[must_use]
pub fn limits(wall: Duration) -> Limits {
    Limits {
        wall,
        cpu: wall * 2,
        memory_bytes: 2 << 30,
        processes: 64,
        output_bytes: 64 << 10,
        disk_bytes: MOST_BYTES + (16 << 20),
    }
}

/// The worker's answers, one to each request, and what it printed on standard error; the inner error says, for the
/// student, why there are none.
///
/// # Errors
///
/// If the sandbox cannot be set up.
pub fn ask(
    kit: &Kit,
    worker: &Worker,
    requests: &[Message],
    wall: Duration,
    folder: &Path,
    isolation: Isolation,
) -> Result<Result<(Vec<Message>, String), String>> {
    // A new one for each: nothing that one check left behind is there for the next.
    let scratch = scratch::make(folder, "run")?;
    let policy = Policy {
        readable: vec![kit.prior()],
        executable: [worker.program.clone()].into_iter().chain(system()).collect(),
        writable: scratch.clone(),
        limits: limits(wall),
        environment: vec![("RUST_BACKTRACE".into(), "0".into())],
    };
    let finished = sandbox::run(
        &worker.program,
        &[ANSWERS.into()],
        &encode(requests)?,
        &policy,
        isolation,
    )?;
    let answers = take(&scratch, requests.len(), &finished);
    let _ = std::fs::remove_dir_all(&scratch);
    let printed = printed(&finished);
    Ok(match answers {
        Ok(answers) => Ok((answers, printed)),
        Err(why) if printed.is_empty() => Err(why),
        Err(why) => Err(format!("{why}\nIt printed:\n{printed}")),
    })
}

fn take(scratch: &Path, expected: usize, finished: &Finished) -> Result<Vec<Message>, String> {
    match finished.end {
        End::Exit(0) => {}
        end => return Err(format!("The program did not finish: {end}.")),
    }
    let bytes = sandbox::take_file(scratch, Path::new(ANSWERS), MOST_BYTES).map_err(|error| {
        format!(
            "The program ended without an answer, although it exited with code 0 ({error}). Does the code end the \
             program (std::process::exit)?"
        )
    })?;
    let answers = decode(&bytes).map_err(|error| format!("The answers cannot be read: {error:#}."))?;
    if answers.len() != expected {
        return Err(format!("{} answers came back, expected {expected}.", answers.len()));
    }
    Ok(answers)
}

/// What the program printed, a panic's words above all. A line is shown once: the same panic comes with every request.
fn printed(finished: &Finished) -> String {
    let text = String::from_utf8_lossy(&finished.stderr);
    distinct_lines(text.trim()).chars().take(SHOWN).collect()
}

fn distinct_lines(text: &str) -> String {
    let mut seen = BTreeSet::new();
    let telling = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with(BACKTRACE_HINT));
    telling.filter(|line| seen.insert(*line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_comes_again_is_shown_once() {
        let panic = "thread 'main' panicked at src/lib.rs:3:5:\nnot yet implemented: Task 6.3: a hint\n";
        let text = format!("{panic}note: run with `RUST_BACKTRACE=1` to see more\n\n{panic}\n{panic}another line");
        assert_eq!(distinct_lines(&text), format!("{panic}another line"));
    }
}
