//! The grader's side of the conversation with a worker: hands over requests, answers questions about the model, and
//! hears the answers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ChildStdin, ChildStdout};

use diffusion::{Pullback, ScoreModel};
use exchange::{Message, Question, read_frame, write_frame};
use ndarray::Array4;

/// So many pullbacks are kept until they are asked for: each holds a pass of the network.
const MOST_PULLBACKS: usize = 2;

/// Why a worker gave no answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It ended before.
    Ended,
    /// What it said is nothing that a worker says.
    Nonsense(String),
}

/// Speaks with a worker until it has answered, or is gone.
///
/// # Errors
///
/// If it does not answer.
pub fn talk(
    mut input: ChildStdin,
    mut output: ChildStdout,
    requests: &[Message],
    model: &dyn ScoreModel,
) -> Result<Vec<Message>, Silence> {
    // A worker that does not listen has ended, or will not answer.
    let _ = write_frame(&mut input, requests);
    let mut desk = Desk::new(model);
    loop {
        let frame = read_frame(&mut output).map_err(nonsense)?.ok_or(Silence::Ended)?;
        let question = match Question::from_messages(frame).map_err(nonsense)? {
            Question::Done(answers) => return Ok(answers),
            question => question,
        };
        // Whatever a model makes of what it is asked, the grader goes on.
        let reply = catch_unwind(AssertUnwindSafe(|| desk.answer(question)))
            .unwrap_or_else(|_| Message::default().with("error", "the model cannot answer this"));
        let _ = write_frame(&mut input, &[reply]);
    }
}

fn nonsense(error: anyhow::Error) -> Silence {
    Silence::Nonsense(format!("{error:#}"))
}

/// Where questions about a model are answered.
struct Desk<'m> {
    model: &'m dyn ScoreModel,
    calls: usize,
    pullbacks: BTreeMap<usize, Pullback<'m>>,
}

impl<'m> Desk<'m> {
    fn new(model: &'m dyn ScoreModel) -> Self {
        Self {
            model,
            calls: 0,
            pullbacks: BTreeMap::new(),
        }
    }

    fn answer(&mut self, question: Question) -> Message {
        match question {
            Question::Score { x_t, t, with_pullback } => self.score(&x_t, t, with_pullback),
            Question::Pullback { call, v } => self.pull_back(call, &v),
            Question::Done(_) => Message::default(),
        }
    }

    fn score(&mut self, x_t: &Array4<f32>, t: usize, with_pullback: bool) -> Message {
        let call = self.calls;
        self.calls += 1;
        if !with_pullback {
            return reply("score", self.model.score(x_t, t));
        }
        // Before the next one is made, so that never more are kept.
        while self.pullbacks.len() >= MOST_PULLBACKS {
            self.pullbacks.pop_first();
        }
        let score = self.model.score_with_pullback(x_t, t).map(|(score, pullback)| {
            self.pullbacks.insert(call, pullback);
            score
        });
        reply("score", score)
    }

    fn pull_back(&mut self, call: usize, v: &Array4<f32>) -> Message {
        match self.pullbacks.remove(&call) {
            Some(pullback) => reply("pullback", pullback(v)),
            None => Message::default().with(
                "error",
                format!(
                    "the pullback of call number {call} was called before, or is older than {MOST_PULLBACKS} others"
                ),
            ),
        }
    }
}

fn reply(name: &str, answer: Result<Array4<f32>, diffusion::ScoreError>) -> Message {
    match answer {
        Ok(array) => Message::default().with_batch(name, &array),
        Err(error) => Message::default().with("error", error),
    }
}
