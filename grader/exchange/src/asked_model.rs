//! The worker's model: it computes nothing, but asks the grader.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;

use crate::probed::numbers;
use crate::{Message, Question, SMALL_SHAPE, read_frame, write_frame};

/// The grader's end of the pipes, as the worker holds it.
pub struct Line {
    /// What the grader says.
    pub input: File,
    /// What it hears.
    pub output: File,
    /// How many scores were asked for.
    pub calls: usize,
}

impl Line {
    /// Asks, and waits for the answer.
    fn ask(&mut self, question: Question) -> Result<Message> {
        write_frame(&mut self.output, &question.into_messages())?;
        let mut answers = read_frame(&mut self.input)?.context("the grader does not answer")?;
        answers.pop().context("an empty answer")
    }
}

/// A model that asks the grader for each score and for each pullback.
pub struct AskedModel<'a> {
    line: &'a Mutex<Line>,
    shape: [usize; 3],
    schedule: Schedule,
}

impl<'a> AskedModel<'a> {
    /// The model that a request names: its texts `shape` and `schedule`, where it has them.
    ///
    /// # Errors
    ///
    /// An unknown schedule, a shape of other than three numbers.
    pub fn new(request: &Message, line: &'a Mutex<Line>) -> Result<Self> {
        let shape = match request.text("shape") {
            Ok(shape) => numbers(shape)?
                .try_into()
                .ok()
                .context("`shape` should be three numbers")?,
            Err(_) => SMALL_SHAPE,
        };
        let schedule = match request.texts.get("schedule").map(String::as_str) {
            None | Some("linear") => Schedule::linear(),
            Some("cosine") => Schedule::cosine(Schedule::linear().num_steps())?,
            Some(other) => bail!("there is no schedule `{other}`"),
        };
        Ok(Self { line, shape, schedule })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A score, and the number of its call.
    fn score_of(&self, x_t: &Array4<f32>, t: usize, with_pullback: bool) -> Result<(Array4<f32>, usize), ScoreError> {
        let x_t = x_t.clone();
        let mut line = self.line();
        let call = line.calls;
        line.calls += 1;
        let answer = line.ask(Question::Score { x_t, t, with_pullback });
        Ok((array(answer, "score")?, call))
    }
}

/// The array `name` of the grader's answer; its text `error` as the model's error.
fn array(answer: Result<Message>, name: &str) -> Result<Array4<f32>, ScoreError> {
    let answer = answer.map_err(backend)?;
    match answer.texts.get("error") {
        Some(error) => Err(ScoreError::Backend(error.clone())),
        None => answer.batch(name).map_err(backend),
    }
}

fn backend(error: anyhow::Error) -> ScoreError {
    ScoreError::Backend(format!("{error:#}"))
}

impl ScoreModel for AskedModel<'_> {
    fn image_shape(&self) -> [usize; 3] {
        self.shape
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        Ok(self.score_of(x_t, t, false)?.0)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let (score, call) = self.score_of(x_t, t, true)?;
        let pullback = move |v: &Array4<f32>| {
            let answer = self.line().ask(Question::Pullback { call, v: v.clone() });
            array(answer, "pullback")
        };
        Ok((score, Box::new(pullback)))
    }
}
