//! What a worker says to the grader while it runs: questions about its model, and at last its answers.

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array4;

use crate::Message;

/// What comes from a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The score at `x_t` `[B, C, H, W]` and `t`.
    Score {
        /// `[B, C, H, W]`.
        x_t: Array4<f32>,
        /// The time.
        t: usize,
        /// Whether its pullback may be asked for, too.
        with_pullback: bool,
    },
    /// `J^T v` of the call of this number, counted from 0.
    Pullback {
        /// Which call.
        call: usize,
        /// `v`, in the shape of that call's `x_t`.
        v: Array4<f32>,
    },
    /// No question: the answers to the requests.
    Done(Vec<Message>),
}

impl Question {
    /// As messages.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message> {
        let ask = |what: &str| Message::default().with("ask", what);
        match self {
            Self::Score { x_t, t, with_pullback } => {
                let what = if with_pullback { "score+pullback" } else { "score" };
                vec![ask(what).with("t", t).with_batch("x_t", &x_t)]
            }
            Self::Pullback { call, v } => vec![ask("pullback").with("call", call).with_batch("v", &v)],
            Self::Done(answers) => [ask("done")].into_iter().chain(answers).collect(),
        }
    }

    /// From messages, which may come from anyone.
    ///
    /// # Errors
    ///
    /// If they are no question.
    pub fn from_messages(messages: Vec<Message>) -> Result<Self> {
        let mut messages = messages.into_iter();
        let first = messages.next().context("an empty frame")?;
        let ask = first.text("ask")?;
        ensure!(ask == "done" || messages.len() == 0, "more than one question at a time");
        match ask {
            "score" | "score+pullback" => Ok(Self::Score {
                x_t: first.batch("x_t")?,
                t: first.number("t")?,
                with_pullback: ask != "score",
            }),
            "pullback" => Ok(Self::Pullback {
                call: first.number("call")?,
                v: first.batch("v")?,
            }),
            "done" => Ok(Self::Done(messages.collect())),
            other => bail!("`{other}` is no question"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_back_as_they_were() -> Result<()> {
        let x_t = Array4::from_elem((1, 2, 1, 3), 0.5);
        let questions = [
            Question::Score {
                x_t: x_t.clone(),
                t: 30,
                with_pullback: true,
            },
            Question::Pullback { call: 2, v: x_t },
            Question::Done(vec![Message::default().with("error", "x")]),
        ];
        for question in questions {
            assert_eq!(Question::from_messages(question.clone().into_messages())?, question);
        }
        assert!(Question::from_messages(Vec::new()).is_err());
        assert!(Question::from_messages(vec![Message::default().with("ask", "points")]).is_err());
        Ok(())
    }
}
