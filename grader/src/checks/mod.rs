//! The checks of all exercises: what a worker is asked, and how its answers are judged.
//!
//! A check asks one worker process a few requests. There are three kinds: arrays against the reference solution's, to
//! rounding; the steps of a sampler, one by one; and images against hidden ones. The grader holds what is right, here;
//! the worker never does.

mod bench;
mod formula;
mod images;
mod named;
mod noise;
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
use exchange::Message;

pub use bench::Bench;
pub use images::{Figure, Measured, Picture};

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
struct Row(u8, fn(Task) -> Vec<Check>, fn(&Message) -> Result<Message>);

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
    Sampler(fn(&Bench, &[Message], &[Message]) -> Result<Verdict>),
    /// Images, of which figures are taken that have to lie in bands.
    Images(fn(&Bench, &[Message], &[Message]) -> Result<Measured>),
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

    /// What the worker is asked.
    ///
    /// # Errors
    ///
    /// If a file of the grader's is damaged, or the reference solution is wrong.
    pub fn requests(&self, bench: &Bench) -> Result<Vec<Message>> {
        let mut requests = (self.ask)(bench)?;
        requests.extend(probed::requests(self.task, &self.key())?);
        Ok(requests)
    }

    /// Judges the answers. Pictures and figures are of the answers; the share is what they earn.
    ///
    /// # Errors
    ///
    /// If the reference solution itself fails, or a file of the grader's is damaged.
    pub fn judge(&self, bench: &Bench, asked: &[Message], answers: &[Message]) -> Result<Verdict> {
        let own = asked
            .iter()
            .take_while(|request| !exchange::is_probed(request))
            .count()
            .min(answers.len());
        let mut verdict = self.judge_own(bench, &asked[..own], &answers[..own])?;
        if verdict.share < 1.0
            && let Some(fault) = probed::fault(&self.key(), &asked[own..], &answers[own..])
        {
            // Where the steps themselves are wrong, what is left of them is no noise, and its statistics say nothing.
            verdict.text = if verdict.share > 0.0 {
                format!("{fault}\n{}", verdict.text)
            } else {
                fault.to_string()
            };
        }
        Ok(verdict)
    }

    /// Of the answers that points are given for.
    fn judge_own(&self, bench: &Bench, asked: &[Message], answers: &[Message]) -> Result<Verdict> {
        if let Some(answer) = answers.iter().find(|answer| !answer.arrays.values().all(is_bounded)) {
            let names: Vec<&str> = answer
                .arrays
                .iter()
                .filter(|a| !is_bounded(a.1))
                .map(|a| a.0.as_str())
                .collect();
            return Ok(Verdict::nothing(format!(
                "{} holds a NaN, an infinity or a number above 1e12.",
                names.join(", ")
            )));
        }
        match self.kind {
            Kind::Formula(formula) => formula::judge(self.task, formula, asked, answers),
            Kind::Sampler(judge) => judge(bench, asked, answers),
            Kind::Images(measure) => images::judge(&self.key(), bench, measure, asked, answers),
        }
    }
}

fn row(task: Task) -> Option<&'static Row> {
    TABLE.iter().find(|Row(number, ..)| *number == task.number())
}

/// Images and measurements stay far below that; what is above would overflow in sums.
fn is_bounded(array: &ndarray::ArrayD<f32>) -> bool {
    array.iter().all(|value| value.abs() < 1e12)
}

/// The reference solution's answer; an error of the function itself is an answer, too.
#[must_use]
pub fn reference(task: Task, request: &Message) -> Message {
    let answer = match row(task) {
        Some(Row(_, _, answer)) => answer(request),
        None => Err(anyhow::anyhow!("task {} has no worker", task.number())),
    };
    answer.unwrap_or_else(|error| Message::default().with("error", format!("{error:#}")))
}
