//! Runs workers on requests, in the sandbox, and takes their answers.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use diffusion::ScoreModel;
use exchange::Message;
use rand::seq::SliceRandom;
use sandbox::{End, Finished, Isolation, Limits, Policy};

use crate::checks::asked::{Answered, Recording, Silent};
use crate::checks::{Bench, Check, Kind, for_worker, model};
use crate::grading::compile::{Worker, system};
use crate::grading::scratch;
use crate::grading::talk::{Silence, talk};
use crate::printable::printable;

/// How a line begins that says nothing to a student: the program does not run on their machine.
const BACKTRACE_HINT: &str = "note: run with `RUST_BACKTRACE";
/// So much of what a program printed is shown to the student, in characters.
const SHOWN: usize = 3000;

/// What the workers of one check may use; a check sets the time. The clock is there for what waits: it is generous, as
/// others may use the processor as well.
#[must_use]
pub fn limits(time: Duration) -> Limits {
    Limits {
        wall: time * 2,
        cpu: time,
        memory_bytes: 1 << 30,
        processes: 64,
        output_bytes: 64 << 10,
        disk_bytes: 16 << 20,
    }
}

/// Where and how workers run.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The program.
    pub worker: &'a Worker,
    /// A folder of the grader's, for scratch folders.
    pub folder: &'a Path,
    /// Whether to run without protection where there is none.
    pub isolation: Isolation,
}

/// What came of a check's requests.
pub enum Outcome {
    /// An answer to each, and what was printed on standard error.
    Answers(Vec<Answered>, String),
    /// Why, for the student, there are none, and whether that is because time ran out.
    Nothing {
        /// A sentence, and what was printed.
        why: String,
        /// Whether it was stopped by a limit on time.
        out_of_time: bool,
    },
}

/// Asks a worker process of its own for each request, in random order, `time` for all of them together: a submission
/// that counts or remembers learns nothing from it. The requests are those of `check`.
///
/// # Errors
///
/// If the sandbox cannot be set up, or the model fails.
pub fn ask_each(
    place: Place<'_>,
    bench: &Bench,
    check: &Check,
    requests: &[Message],
    time: Duration,
) -> Result<Outcome> {
    let clock = Instant::now();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.shuffle(&mut rand::rng());
    let (mut answers, mut said) = (vec![Answered::default(); requests.len()], String::new());
    for index in order {
        let request = &requests[index];
        let model = model(bench, request)?;
        let silent = Silent::default();
        let as_dyn: &dyn ScoreModel = model.as_ref().map_or(&silent, |model| model.as_dyn());
        let recording = Recording::new(as_dyn, check.most_calls(request));
        let left = time.saturating_sub(clock.elapsed()).max(Duration::from_secs(1));
        let asked = [for_worker(request, model.as_ref())];
        let (finished, heard) = run(place, &asked, &recording, left)?;
        said.push_str(&String::from_utf8_lossy(&finished.stderr));
        let message = match answers_of(&finished, heard, 1) {
            Ok(mut answers) => answers.pop().unwrap_or_default(),
            Err(why) => return Ok(nothing(check, &finished, why)),
        };
        answers[index] = match model {
            Some(_) => settled(check, bench, request, recording.with_calls(message))?,
            None => Answered {
                message,
                ..Answered::default()
            },
        };
    }
    Ok(Outcome::Answers(answers, shown(&said)))
}

/// An answer that was looked at. One that nobody foresaw is the submission's fault, and stops nobody else.
fn settled(check: &Check, bench: &Bench, request: &Message, answered: Answered) -> Result<Answered> {
    catch_unwind(AssertUnwindSafe(|| check.settle(bench, request, answered))).unwrap_or_else(|_| {
        Ok(Answered {
            message: Message::default().with("error", "the answer has a form that no function of the exercise gives"),
            ..Answered::default()
        })
    })
}

/// Asks one worker for all requests that need no model, which earn no points; nothing where it gives no answers.
///
/// # Errors
///
/// If the sandbox cannot be set up.
pub fn ask_together(place: Place<'_>, requests: &[Message], time: Duration) -> Result<Vec<Message>> {
    let (finished, heard) = run(place, requests, &Silent::default(), time)?;
    Ok(answers_of(&finished, heard, requests.len()).unwrap_or_default())
}

type Heard = Result<Vec<Message>, Silence>;

fn run(place: Place<'_>, requests: &[Message], model: &dyn ScoreModel, time: Duration) -> Result<(Finished, Heard)> {
    // A new one for each: nothing that one run left behind is there for the next.
    let scratch = scratch::make(place.folder, "run")?;
    let policy = Policy {
        readable: Vec::new(),
        executable: [place.worker.program.clone()].into_iter().chain(system()).collect(),
        writable: scratch.clone(),
        limits: limits(time),
        environment: vec![("RUST_BACKTRACE".into(), "0".into())],
    };
    let done = sandbox::converse(&place.worker.program, &[], &policy, place.isolation, |input, output| {
        talk(input, output, requests, model)
    })?;
    scratch::remove(&scratch);
    Ok(done)
}

/// The answers, or why there are none, in words for the student.
fn answers_of(finished: &Finished, heard: Heard, expected: usize) -> Result<Vec<Message>, String> {
    let answers = match (heard, finished.end) {
        (Ok(answers), End::Exit(0)) => answers,
        (Err(Silence::Nonsense(what)), _) => return Err(format!("What the program says cannot be read: {what}.")),
        (Err(Silence::Ended), End::Exit(0)) => {
            return Err(
                "The program ended without an answer, although it exited with code 0. Does the code end the program \
                 (std::process::exit)?"
                    .into(),
            );
        }
        (_, end) => return Err(format!("The program did not finish: {end}.")),
    };
    if answers.len() != expected {
        return Err(format!("{} answers came back, expected {expected}.", answers.len()));
    }
    Ok(answers)
}

/// No answers. Of a check on images nothing goes back that the program could choose.
fn nothing(check: &Check, finished: &Finished, why: String) -> Outcome {
    let out_of_time = matches!(finished.end, End::TimedOut | End::CpuTime);
    let printed = shown(&String::from_utf8_lossy(&finished.stderr));
    let why = match (check.kind, finished.end) {
        (Kind::Images(_), End::Exit(_) | End::Signal(_)) => {
            format!("The program ended before it had an answer. {}", crate::checks::WITHHELD)
        }
        (Kind::Images(_), _) => why,
        (_, _) if printed.is_empty() => why,
        (_, _) => format!("{why}\nIt printed:\n{printed}"),
    };
    Outcome::Nothing { why, out_of_time }
}

/// What the program printed, a panic's words above all. A line is shown once: the same panic comes with every request.
fn shown(printed: &str) -> String {
    printable(&distinct_lines(printed.trim())).chars().take(SHOWN).collect()
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
