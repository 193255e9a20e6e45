//! The runs of a sampler that points are given for.

use anyhow::{Context, Result, bail};
use exchange::Message;

use super::asked::Answered;

/// The five requests of every sampler check, from the first of them: a run that is watched, the same unwatched, another
/// seed, a run that its observer stops, and one with the other variance of the steps' noise, watched as well.
pub fn requests(run: &Message) -> Vec<Message> {
    let seed: u64 = run.number("seed").unwrap_or(0);
    let run = run.clone().with("variance", "beta");
    vec![
        run.clone().with("watch", "yes"),
        run.clone(),
        run.clone().with("seed", seed.wrapping_add(1)),
        run.clone().with("watch", 2),
        run.clone().with("watch", "yes").with("variance", "posterior"),
    ]
}

/// The answers to [`requests`], and those to whatever a check asks besides.
pub struct Runs<'a> {
    /// The run that is watched.
    pub watched: &'a Answered,
    /// The same run again, which nobody watches.
    pub again: &'a Answered,
    /// One with another seed.
    pub other_seed: &'a Answered,
    /// One that its observer stops.
    pub stopped: &'a Answered,
    /// One whose steps have the posterior variance.
    pub posterior: &'a Answered,
    more: &'a [Answered],
}

impl<'a> Runs<'a> {
    /// Tells the answers apart, by their places.
    ///
    /// # Errors
    ///
    /// If there are fewer than [`requests`] asks for.
    pub fn of(answers: &'a [Answered]) -> Result<Self> {
        let [watched, again, other_seed, stopped, posterior, more @ ..] = answers else {
            bail!("{} answers of a sampler, expected five or more", answers.len());
        };
        Ok(Self {
            watched,
            again,
            other_seed,
            stopped,
            posterior,
            more,
        })
    }

    /// The answer to a further request, from 0.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn more(&self, index: usize) -> Result<&'a Answered> {
        self.more.get(index).context("an answer of a sampler is missing")
    }

    /// Those that should have a result.
    #[must_use]
    pub fn finished(&self) -> [&'a Answered; 3] {
        [self.watched, self.again, self.other_seed]
    }
}
