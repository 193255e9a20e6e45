//! Measured coefficients beside the right ones, and the sentences that tell the difference.

use std::collections::BTreeSet;

use crate::case::Unit;
use crate::lexicon::{LEAST_CASES, Lexicon, Target};
use crate::monomial::Monomial;
use crate::quantity::{Kind, Quantity};
use crate::sum::{Sum, Term, Wording};
use crate::words::best_sentences;

/// A coefficient that was measured.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub value: f64,
    /// How well it is known, if the terms are exact.
    pub error: f64,
    /// How far off it may be without the result being wrong.
    pub slack: f64,
}

/// The coefficients that were measured on one image, none where the term is zero.
pub(crate) struct Found<'a> {
    pub unit: Unit<'a>,
    pub coefficients: Vec<Option<Measured>>,
    pub right: Vec<f64>,
}

/// What it costs to leave a coefficient without a name.
pub(crate) const UNNAMED: usize = 100;

/// What is to be said of the coefficients.
#[derive(Default)]
pub(crate) struct Named {
    /// Of two explanations the one that costs less is better: a name is worth more than none, a short one more than a
    /// long one.
    pub cost: usize,
    /// Whether every coefficient has a name.
    pub is_complete: bool,
    pub sentences: Vec<String>,
    pub facts: Vec<String>,
}

/// What became of one coefficient.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Right,
    Missing,
    Named(Monomial),
    /// The right formula, of quantities that were rounded to `f32`.
    Rounded,
    Unknown,
}

pub(crate) fn name_coefficients(sum: &Sum, found: &[Found<'_>]) -> Named {
    let wrong: Vec<usize> = (0..sum.terms.len()).filter(|&k| !is_right(found, k)).collect();
    if wrong.is_empty() {
        return Named {
            is_complete: true,
            ..Named::default()
        };
    }
    let facts = examples(sum, found, &wrong);
    let several = cases_apart(found) >= LEAST_CASES;
    if let Some(sentence) = exchanged(sum, found)
        .or_else(|| substituted(sum, found))
        .filter(|_| several)
    {
        return Named {
            cost: 10,
            is_complete: true,
            sentences: vec![sentence],
            facts,
        };
    }
    let cases: Vec<&[Quantity]> = found.iter().map(|f| f.unit.quantities()).collect();
    let lexicon = Lexicon::new(&cases);
    let outcomes: Vec<Outcome> = (0..sum.terms.len()).map(|k| outcome(sum, found, &lexicon, k)).collect();
    let mut sentences = best_sentences(sum, &outcomes);
    let names: Vec<&Monomial> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Named(name) => Some(name),
            _ => None,
        })
        .collect();
    sentences.extend(remarks(sum, |quantity| {
        let is_named = |name: &&Monomial| name.halves().iter().any(|(known, _)| known.contains(quantity));
        names.iter().any(is_named)
    }));
    let cost = sentences_cost(sum, &outcomes);
    Named {
        cost,
        is_complete: !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown)),
        sentences,
        facts,
    }
}

/// How many of the cases have quantities of their own.
fn cases_apart(found: &[Found<'_>]) -> usize {
    let mut apart: Vec<&[Quantity]> = Vec::new();
    for f in found {
        if !apart.contains(&f.unit.quantities()) {
            apart.push(f.unit.quantities());
        }
    }
    apart.len()
}

fn sentences_cost(sum: &Sum, outcomes: &[Outcome]) -> usize {
    let cost = |(term, outcome): (&Term, &Outcome)| match outcome {
        Outcome::Right => 0,
        Outcome::Missing | Outcome::Rounded => 8,
        Outcome::Named(name) => 4 + 3 * name.distance(&term.right),
        Outcome::Unknown => UNNAMED,
    };
    sum.terms.iter().zip(outcomes).map(cost).sum()
}

/// Within what it may be off, on all images.
fn agrees(found: &[Found<'_>], term: usize, value: impl Fn(&Found<'_>) -> f64) -> bool {
    found.iter().all(|f| {
        let Some(measured) = f.coefficients[term] else {
            return true;
        };
        let value = value(f);
        (measured.value - value).abs() <= (2.0 * measured.error).max(measured.slack) + 2e-6 * value.abs()
    })
}

fn is_right(found: &[Found<'_>], term: usize) -> bool {
    agrees(found, term, |f| f.right[term])
}

fn outcome(sum: &Sum, found: &[Found<'_>], lexicon: &Lexicon, term: usize) -> Outcome {
    if is_right(found, term) {
        return Outcome::Right;
    }
    if agrees(found, term, |_| 0.0) {
        return Outcome::Missing;
    }
    let right = &sum.terms[term].right;
    for candidate in [right.clone().negated(), Monomial::one(), Monomial::one().negated()] {
        if agrees(found, term, |f| candidate.value(f.unit.quantities())) {
            return Outcome::Named(candidate);
        }
    }
    if agrees(found, term, |f| right.value_in_f32(f.unit.quantities())) {
        return Outcome::Rounded;
    }
    let right_values: Vec<f64> = found.iter().map(|f| f.right[term]).collect();
    let pick = |of: fn(&Measured) -> f64| -> Vec<f64> {
        let value = |f: &Found<'_>| f.coefficients[term].as_ref().map_or(f64::NAN, of);
        found.iter().map(value).collect()
    };
    let values = pick(|m| m.value);
    // Terms that were computed in f32 themselves are not exact: then only the slack does.
    let named = [pick(|m| m.error), pick(|m| m.error.max(m.slack))]
        .into_iter()
        .find_map(|errors| {
            let target = Target {
                values: &values,
                errors: &errors,
            };
            lexicon.name_of(&target, right, &right_values)
        });
    let holds = |name: &Monomial| agrees(found, term, |f| name.value(f.unit.quantities()));
    named.filter(holds).map_or(Outcome::Unknown, Outcome::Named)
}

/// Two terms have each other's coefficients.
fn exchanged(sum: &Sum, found: &[Found<'_>]) -> Option<String> {
    let has = |k: usize, other: usize| agrees(found, k, |f| f.right[other]);
    let shows = |k: usize| {
        let of_k = found
            .iter()
            .filter(|f| f.coefficients[k].is_some() && f.right[k] != 0.0);
        of_k.count() >= LEAST_CASES
    };
    for a in 0..sum.terms.len() {
        for b in a + 1..sum.terms.len() {
            let others_right = (0..sum.terms.len()).all(|k| k == a || k == b || is_right(found, k));
            if others_right && shows(a) && shows(b) && has(a, b) && has(b, a) {
                let (a, b) = (&sum.terms[a].name, &sum.terms[b].name);
                return Some(format!("the factors of {a} and {b} have changed places"));
            }
        }
    }
    None
}

/// One quantity stands everywhere in the place of another.
fn substituted(sum: &Sum, found: &[Found<'_>]) -> Option<String> {
    let quantities = found.first()?.unit.quantities();
    let known = quantities.iter().filter(|q| q.kind != Kind::Renamed);
    let names: BTreeSet<&str> = known.map(|q| q.name.as_str()).collect();
    let bases: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| names.contains(format!("1 - {name}").as_str()))
        .collect();
    let explains = |renames: &[(&str, &str)]| {
        (0..sum.terms.len()).all(|k| {
            let renamed = sum.terms[k].right.renamed(renames);
            agrees(found, k, |f| renamed.value(f.unit.quantities()))
        })
    };
    let occurrences = |name: &str| sum.terms.iter().map(|term| term.right.occurrences(name)).sum::<usize>();
    for (because, renames) in &sum.alternatives {
        let renames: Vec<(&str, &str)> = renames.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        if explains(&renames) {
            return Some(because.clone());
        }
    }
    for old in bases.iter().filter(|old| occurrences(old) > 0) {
        for new in bases.iter().filter(|new| *new != old && varies(found, new)) {
            if explains(&[(old, new)]) {
                let everywhere = if occurrences(old) > 1 { "everywhere " } else { "" };
                let remark = remarks(sum, |quantity| quantity == *new).pop();
                let remark = remark.map_or_else(String::new, |remark| format!(" ({remark})"));
                return Some(format!("{new} stands {everywhere}where {old} belongs{remark}"));
            }
            if occurrences(new) > 0 && explains(&[(old, new), (new, old)]) {
                return Some(format!("{old} and {new} have changed places"));
            }
        }
        let complement = format!("1 - {old}");
        let turned = |term: &Term| {
            let halves = term.right.halves().iter().map(|(name, power)| {
                let name = match name {
                    name if name == old => complement.clone(),
                    name if *name == complement => (*old).to_owned(),
                    name => name.clone(),
                };
                (name, *power)
            });
            Monomial::of_halves(halves.collect())
        };
        let is_turned = (0..sum.terms.len()).all(|k| {
            let turned = turned(&sum.terms[k]);
            agrees(found, k, |f| turned.value(f.unit.quantities()))
        });
        if is_turned && sum.terms.len() > 1 && sum.wording == Wording::Factor {
            return Some(format!("{old} and {complement} have changed places"));
        }
    }
    None
}

/// A quantity that is the same in all cases, as `alpha_bar` at time 0, proves nothing by standing somewhere.
fn varies(found: &[Found<'_>], name: &str) -> bool {
    let value = |f: &Found<'_>| f.unit.quantities().iter().find(|q| q.name == name).map(|q| q.value);
    found.iter().any(|f| value(f) != value(&found[0]))
}

fn remarks(sum: &Sum, holds: impl Fn(&str) -> bool) -> Vec<String> {
    let of_sum = sum.remarks.iter().filter(|(quantity, _)| holds(quantity));
    of_sum.map(|(_, remark)| remark.clone()).collect()
}

/// The coefficients in numbers, on the images where they are the furthest off.
fn examples(sum: &Sum, found: &[Found<'_>], wrong: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    let (images, cases) = (found.len(), sum.cases.len());
    lines.push(match sum.wording {
        Wording::Factor => {
            format!("found in {images} images of {cases} calls, by least squares on what came; for example:")
        }
        Wording::Number => format!("so it is in all {images} numbers of {cases} calls; for example:"),
    });
    for &k in wrong.iter().take(3) {
        let off = |f: &Found<'_>| {
            let Some(m) = f.coefficients[k] else { return 0.0 };
            ((m.value - f.right[k]).abs() - m.slack) / f.right[k].abs().max(1e-12)
        };
        let worst = found.iter().max_by(|a, b| off(a).total_cmp(&off(b)));
        if let Some((f, measured)) = worst.and_then(|f| Some((f, f.coefficients[k]?.value))) {
            let is = match sum.wording {
                Wording::Factor => "times",
                Wording::Number => "is",
            };
            lines.push(format!(
                "{}: {} {is} {measured:.6}, expected {:.6}",
                f.unit.case.name, sum.terms[k].name, f.right[k]
            ));
        }
    }
    lines
}
