//! The life of a worker: read requests, answer each, write the answers.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{Message, decode, encode};

/// Reads requests from standard input, hands each to `answer`, and writes the answers to the file that the first
/// argument names. An error becomes the answer's text `error`; a panic its text `panic`, and the panic's own words are
/// on standard error.
#[must_use]
pub fn serve(answer: fn(&Message) -> Result<Message>) -> ExitCode {
    match answer_all(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the worker failed: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn answer_all(answer: fn(&Message) -> Result<Message>) -> Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .context("expected the file for the answers as argument")?;
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .context("cannot read the requests")?;
    let answers: Vec<Message> = decode(&bytes)?
        .iter()
        .map(|request| answer_one(answer, request))
        .collect();
    std::fs::write(path, encode(&answers)?).context("cannot write the answers")
}

fn answer_one(answer: fn(&Message) -> Result<Message>, request: &Message) -> Message {
    match catch_unwind(AssertUnwindSafe(|| answer(request))) {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => Message::default().with("error", format!("{error:#}")),
        Err(_) => Message::default().with("panic", "yes"),
    }
}
