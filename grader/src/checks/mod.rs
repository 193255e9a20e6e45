//! The checks of all exercises: what a worker is asked, and how its answers are judged.
//!
//! A check makes a few requests, each of a worker process of its own. There are three kinds: arrays against the
//! reference solution's, to rounding; the steps of a sampler, one by one; and images against hidden ones. The grader
//! holds what is right, here, and the models; the worker never does.

pub mod asked;
mod bench;
mod formula;
mod images;
mod models;
mod named;
mod noise;
mod path;
mod probed;
mod runs;
mod task2;
mod task3;
mod task4;
mod task5;
mod task6;
mod trace;

use std::time::Duration;

use anyhow::Result;
use asked::{Answered, Recording, Silent};
use exchange::{Answer, Message};

pub use bench::Bench;
pub use images::{Figure, ImageCheck, Measured, Picture, WITHHELD};
pub use models::{Model, for_worker, model};

use crate::course::task::Task;

/// Of each task, by its number: the checks, and the worker on the reference solution.
const TABLE: [Row; 5] = [
    Row(2, task2::checks, worker::task2::answer),
    Row(3, task3::checks, worker::task3::answer),
    Row(4, task4::checks, worker::task4::answer),
    Row(5, task5::checks, worker::task5::answer),
    Row(6, task6::checks, worker::task6::answer),
];

/// A line of [`TABLE`].
struct Row(u8, fn(Task) -> Vec<Check>, Answer);

/// One check of one exercise.
#[derive(Clone, Copy)]
pub struct Check {
    /// The task of the exercise.
    pub task: Task,
    /// The exercise, such as `6.2`.
    pub exercise: &'static str,
    /// What is checked: `formula`, `sampler` or `images`, or a part of the exercise.
    pub name: &'static str,
    /// What the worker is asked that points are given for.
    ask: fn(&Bench) -> Result<Vec<Message>>,
    /// How the answers are judged.
    pub kind: Kind,
}

/// How the answers of a check are judged.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Each answer against the reference solution's; the formula is shown where they differ.
    Formula(&'static str),
    /// A sampler's steps.
    Sampler(fn(&Bench, &[Message], &[Answered]) -> Result<Verdict>),
    /// Images, of which figures are taken that have to lie in bands.
    Images(ImageCheck),
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The share of the points, 0 to 1.
    pub share: f64,
    /// What was found, for the student.
    pub text: String,
    /// Results beside what they should look like.
    pub pictures: Vec<Picture>,
    /// What was measured of images.
    pub figures: Vec<Figure>,
}

impl Verdict {
    /// Nothing earned, and why.
    #[must_use]
    pub fn nothing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

impl Check {
    /// A check of an exercise; see the fields.
    const fn new(
        task: Task,
        exercise: &'static str,
        name: &'static str,
        ask: fn(&Bench) -> Result<Vec<Message>>,
        kind: Kind,
    ) -> Self {
        Self {
            task,
            exercise,
            name,
            ask,
            kind,
        }
    }

    /// The checks of a task, in the order of its exercises; none where the table lacks the task, which `grader doctor`
    /// tells.
    #[must_use]
    pub fn of_task(task: Task) -> Vec<Self> {
        row(task).map_or_else(Vec::new, |Row(_, checks, _)| checks(task))
    }

    /// What thresholds and reports call it: `6.2 formula`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.exercise, self.name)
    }

    /// How long the worker may take, on the clock.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        match self.kind {
            Kind::Images(_) => Duration::from_secs(240),
            _ => Duration::from_secs(20),
        }
    }

    /// What workers are asked that points are given for, one process each.
    ///
    /// # Errors
    ///
    /// If a file of the grader's is damaged.
    pub fn requests(&self, bench: &Bench) -> Result<Vec<Message>> {
        (self.ask)(bench)
    }

    /// What one more worker is asked where points were lost, all of it in one process: runs on the probe, by which the
    /// cause is named. Nothing where the check is of no loop.
    ///
    /// # Errors
    ///
    /// If the reference solution is wrong.
    pub fn probed_requests(&self) -> Result<Vec<Message>> {
        probed::requests(self.task, &self.key())
    }

    /// How often the model may be asked in a request: a loop that never ends does end.
    #[must_use]
    pub fn most_calls(&self, request: &Message) -> usize {
        most_calls(request)
    }

    /// Looks at an answer as soon as it is there, so that of images what was asked need not be kept.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn settle(&self, bench: &Bench, request: &Message, mut answered: Answered) -> Result<Answered> {
        if let Kind::Images(check) = self.kind {
            let is_there =
                answered.message.arrays.values().all(is_bounded) && trace::failure(&answered.message).is_none();
            answered.stray = if is_there {
                (check.stray)(bench, request, &answered)?
            } else {
                None
            };
            answered.calls.clear();
        }
        Ok(answered)
    }

    /// Judges the answers to [`Self::requests`]. Pictures and figures are of the answers; the share is what they earn.
    ///
    /// # Errors
    ///
    /// If the reference solution itself fails, or a file of the grader's is damaged.
    pub fn judge(&self, bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
        if let Some(answer) = answers
            .iter()
            .find(|answer| !answer.message.arrays.values().all(is_bounded))
        {
            let names: Vec<&str> = answer
                .message
                .arrays
                .iter()
                .filter(|a| !is_bounded(a.1))
                .map(|a| a.0.as_str())
                .filter(|_| !matches!(self.kind, Kind::Images(_)))
                .collect();
            let what = if names.is_empty() {
                "the result".to_owned()
            } else {
                names.join(", ")
            };
            return Ok(Verdict::nothing(format!(
                "{what} holds a NaN, an infinity or a number above 1e12."
            )));
        }
        match self.kind {
            Kind::Formula(formula) => formula::judge(bench, self.task, formula, asked, answers),
            Kind::Sampler(judge) => judge(bench, asked, answers),
            Kind::Images(check) => images::judge(&self.key(), bench, check.measure, asked, answers),
        }
    }

    /// The verdict with the cause of the fault in the words of the public tests, where the answers to
    /// [`Self::probed_requests`] show one.
    #[must_use]
    pub fn with_cause(&self, mut verdict: Verdict, asked: &[Message], answers: &[Message]) -> Verdict {
        if let Some(fault) = probed::fault(&self.key(), asked, answers) {
            // Where the steps themselves are wrong, what is left of them is no noise, and its statistics say nothing.
            verdict.text = if verdict.share > 0.0 {
                format!("{fault}\n{}", verdict.text)
            } else {
                fault.to_string()
            };
        }
        verdict
    }
}

/// A sampler asks once per step. It may ask so many times as often: the network is dear, the small models are not.
fn most_calls(request: &Message) -> usize {
    let is_prior = request.texts.get("model").is_some_and(|name| name == models::PRIOR);
    let number = |name: &str| request.number(name).unwrap_or(1usize).max(1);
    let calls = number("steps") * number("repeats");
    if is_prior { 2 * calls + 2 } else { 50 * calls }
}

fn row(task: Task) -> Option<&'static Row> {
    TABLE.iter().find(|Row(number, ..)| *number == task.number())
}

/// Images and measurements stay far below that; what is above would overflow in sums.
fn is_bounded(array: &ndarray::ArrayD<f32>) -> bool {
    array.iter().all(|value| value.abs() < 1e12)
}

/// The reference solution's answer, and what it asked; an error of the function itself is an answer, too.
///
/// # Errors
///
/// If the request names a model that there is not.
pub fn reference(bench: &Bench, task: Task, request: &Message) -> Result<Answered> {
    let Some(model) = model(bench, request)? else {
        return Ok(Answered {
            message: reference_without_model(task, request),
            ..Answered::default()
        });
    };
    let recording = Recording::new(model.as_dyn(), most_calls(request));
    let message = answer(task, request, &recording);
    Ok(recording.with_calls(message))
}

/// The same for a request that names no model.
#[must_use]
pub fn reference_without_model(task: Task, request: &Message) -> Message {
    answer(task, request, &Silent::default())
}

fn answer(task: Task, request: &Message, model: &dyn diffusion::ScoreModel) -> Message {
    let answer = match row(task) {
        Some(Row(_, _, answer)) => answer(request, model),
        None => Err(anyhow::anyhow!("task {} has no worker", task.number())),
    };
    answer.unwrap_or_else(|error| Message::default().with("error", format!("{error:#}")))
}
