//! What is wrong, in words.

use std::fmt;

/// So many lines a fault takes at most.
const MOST_LINES: usize = 12;

/// One fault: a sentence that is certain, and the numbers that show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    hint: String,
    facts: Vec<String>,
}

impl Fault {
    /// A fault with its sentence.
    #[must_use]
    pub fn new(hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            facts: Vec::new(),
        }
    }

    /// The same with one more line of numbers, or of what was asked.
    #[must_use]
    pub fn fact(mut self, fact: impl Into<String>) -> Self {
        self.facts.push(fact.into());
        self
    }

    /// The same, with what it is about before its sentence.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        self.hint = format!("{what}: {}", self.hint);
        self
    }

    /// The sentence.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.hint.lines().map(str::to_owned).chain(
            self.facts
                .iter()
                .flat_map(|fact| fact.lines())
                .map(|line| format!("  {line}")),
        );
        let lines: Vec<String> = lines.take(MOST_LINES).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}
