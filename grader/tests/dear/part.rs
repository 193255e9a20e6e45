//! Every n-th of a list, another part of it at each commit: what takes too long for every run is done in turns.

use std::fmt;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::root;

/// Which part of a list to take.
pub struct Part {
    /// What the list holds, for messages.
    what: &'static str,
    every: usize,
    offset: usize,
}

/// What was taken of a list.
pub struct Taken<T> {
    /// The things themselves.
    pub taken: Vec<T>,
    /// In words, which they are.
    words: String,
}

impl Part {
    /// Everything.
    pub fn whole(what: &'static str) -> Self {
        Self {
            what,
            every: 1,
            offset: 0,
        }
    }

    /// The part that the variable `EVERY` asks for, everything where it is not set; the offset is the number of
    /// commits.
    ///
    /// # Errors
    ///
    /// If the variable holds no positive number.
    pub fn from_environment(what: &'static str) -> Result<Self> {
        let Ok(text) = std::env::var("EVERY") else {
            return Ok(Self::whole(what));
        };
        let every: usize = text
            .parse()
            .with_context(|| format!("EVERY should be a number, got `{text}`"))?;
        ensure!(every > 0, "EVERY should be 1 or more, got 0");
        Ok(Self {
            what,
            every,
            offset: commits() % every,
        })
    }

    /// Takes the part of a list.
    pub fn of<T>(&self, list: Vec<T>) -> Taken<T> {
        let count = list.len();
        let is_taken = |(index, _): &(usize, T)| index % self.every == self.offset;
        let (numbers, taken): (Vec<String>, Vec<T>) = list
            .into_iter()
            .enumerate()
            .filter(is_taken)
            .map(|(index, thing)| ((index + 1).to_string(), thing))
            .unzip();
        let words = if self.every == 1 {
            format!("all {count} {}", self.what)
        } else {
            let (numbers, every, offset) = (numbers.join(", "), self.every, self.offset);
            format!("{} {numbers} of {count} (one in {every}, offset {offset})", self.what)
        };
        Taken { taken, words }
    }
}

impl<T> fmt::Display for Taken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// How many commits led here; none where there is no git.
fn commits() -> usize {
    let output = Command::new("git")
        .args(["rev-list", "--count", "HEAD"])
        .current_dir(root())
        .output();
    let count = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn the_parts_of_all_offsets_are_the_whole() {
    let part = |offset| Part {
        what: "letters",
        every: 3,
        offset,
    };
    let taken = part(1).of(vec!['a', 'b', 'c', 'd', 'e']);
    assert_eq!(taken.to_string(), "letters 2, 5 of 5 (one in 3, offset 1)");
    let mut all: Vec<u32> = (0..3)
        .flat_map(|offset| part(offset).of((0..37).collect()).taken)
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..37).collect::<Vec<_>>());
}
