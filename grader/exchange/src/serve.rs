//! The life of a worker: read requests, answer each, say the answers.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use diffusion::ScoreModel;
use nix::unistd::{dup2_stdin, dup2_stdout};

use crate::asked_model::{AskedModel, Line};
use crate::{Message, Question, read_frame, write_frame};

/// What answers one request: the functions of one task, on a model.
pub type Answer = fn(&Message, &dyn ScoreModel) -> Result<Message>;

/// Reads requests from standard input, hands each to `answer`, and says the answers on standard output; in between, the
/// model of a request asks the grader on the same way. An error becomes the answer's text `error`; a panic its text
/// `panic`, and the panic's own words are on standard error.
#[must_use]
pub fn serve(answer: Answer) -> ExitCode {
    match answer_all(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the worker failed: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn answer_all(answer: Answer) -> Result<()> {
    let mut line = set_aside()?;
    let requests = read_frame(&mut line.input)?.context("there are no requests")?;
    let line = Mutex::new(line);
    let answers = requests
        .iter()
        .map(|request| answer_one(answer, request, &line))
        .collect();
    let mut line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
    write_frame(&mut line.output, &Question::Done(answers).into_messages())
}

/// The grader's line, in the place of the standard streams: what the student's code prints goes to standard error, and
/// there is nothing for it to read.
fn set_aside() -> Result<Line> {
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(std::io::stderr())?;
    Ok(Line {
        input,
        output,
        calls: 0,
    })
}

fn answer_one(answer: Answer, request: &Message, line: &Mutex<Line>) -> Message {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let model = AskedModel::new(request, line)?;
        answer(request, &model)
    }));
    match answered {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => Message::default().with("error", format!("{error:#}")),
        Err(_) => Message::default().with("panic", "yes"),
    }
}
