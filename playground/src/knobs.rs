//! What of a method can be set on the page.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::fields::{number, shortened, whole};

/// One number of a method that is free.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Knob {
    /// Its name in the handout or in the paper.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub meaning: &'static str,
    /// The smallest value that is taken.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Which values between the two.
    pub kind: Kind,
}

/// Which numbers a [`Knob`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All.
    Any,
    /// Those without a fraction.
    Whole,
}

const fn any(name: &'static str, low: f64, high: f64, meaning: &'static str) -> Knob {
    let kind = Kind::Any;
    Knob {
        name,
        meaning,
        low,
        high,
        kind,
    }
}

const fn count(name: &'static str, high: f64, meaning: &'static str) -> Knob {
    Knob {
        kind: Kind::Whole,
        ..any(name, 1.0, high, meaning)
    }
}

const ETA: Knob = any(
    "eta",
    0.0,
    1.0,
    "How much of each step's noise is new: 0 draws none, 1 all of it.",
);
const T0: Knob = count(
    "t0",
    1e6,
    "The time the guide is noised to: the larger, the freer the result.",
);
const REPEATS: Knob = count(
    "repeats",
    20.0,
    "How many passes; each begins at the result of the one before.",
);

/// The knobs of SDEdit as an editor.
pub const OF_EDITS: &[Knob] = &[T0, REPEATS];

/// The knobs of the method of this name in the registry of `methods`; none for one that has nothing free, or nothing
/// that is the same for all operators.
#[must_use]
pub fn of_method(name: &str) -> &'static [Knob] {
    const POSITIVE: f64 = 1e-6;
    match name {
        "dps" => {
            const {
                &[any(
                    "zeta",
                    0.0,
                    1000.0,
                    "The step size: how far each step is pulled towards the measurement.",
                )]
            }
        }
        "score-ald" => {
            const {
                &[any(
                    "lambda",
                    0.0,
                    1e6,
                    "The smaller, the stronger the pull towards the measurement.",
                )]
            }
        }
        "sdedit" => OF_EDITS,
        "ddim" | "pigdm" | "ddnm" => const { &[ETA] },
        "ddnm-plus" => const { &[ETA, count("repeats", 20.0, "How often each time is visited.")] },
        "ddrm" => {
            const {
                &[
                    ETA,
                    any(
                        "eta_b",
                        0.0,
                        1.0,
                        "How much of the measurement enters where it is sharper than x_t.",
                    ),
                ]
            }
        }
        "diffpir" => {
            const {
                &[
                    any(
                        "lambda",
                        POSITIVE,
                        1e6,
                        "How much the prior weighs against the measurement.",
                    ),
                    any("zeta", 0.0, 1.0, "How much of each step's noise is new."),
                ]
            }
        }
        "pnp-admm" => {
            const {
                &[any(
                    "lambda",
                    POSITIVE,
                    1e6,
                    "How much the prior weighs against the measurement.",
                )]
            }
        }
        "red-diff" => {
            const {
                &[
                    any(
                        "lambda",
                        POSITIVE,
                        1e6,
                        "How much the network says against the measurement.",
                    ),
                    any("rate", POSITIVE, 10.0, "The step size of Adam."),
                ]
            }
        }
        "moment-matching" => const { &[count("rounds", 20.0, "Rounds of conjugate gradients in each step.")] },
        _ => &[],
    }
}

/// The values that somebody gave to knobs, each in its range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    given: BTreeMap<&'static str, f64>,
}

impl Settings {
    /// Reads them; an empty text leaves a knob as it is.
    ///
    /// # Errors
    ///
    /// A value out of its knob's range, a name that is none of the knobs'.
    pub fn read(knobs: &'static [Knob], texts: &BTreeMap<String, String>) -> Result<Self> {
        let mut given = BTreeMap::new();
        for (name, text) in texts.iter().filter(|(_, text)| !text.trim().is_empty()) {
            let Some(knob) = knobs.iter().find(|knob| knob.name == name) else {
                let known: Vec<&str> = knobs.iter().map(|knob| knob.name).collect();
                bail!(
                    "this method has no setting `{}`: it has [{}]",
                    shortened(name),
                    known.join(", ")
                );
            };
            let value = match knob.kind {
                Kind::Any => number(knob.name, text, knob.low..=knob.high)?,
                Kind::Whole => whole(knob.name, text, knob.low as u64..=knob.high as u64)? as f64,
            };
            given.insert(knob.name, value);
        }
        Ok(Self { given })
    }

    /// What was given to this knob.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.given.get(name).copied()
    }

    /// The same for a knob of whole numbers.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<usize> {
        self.get(name).map(|count| count as usize)
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// All that was given, `zeta 1.5, rate 0.1`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<String> = self
            .given
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        words.join(", ")
    }
}
