//! Measured coefficients beside the right ones, and the sentences that tell the difference.

use std::collections::BTreeSet;

use crate::lexicon::{LEAST_CASES, Lexicon, Target};
use crate::monomial::{Kind, Monomial, Quantity};
use crate::sum::{Sum, Term, Unit, Wording};

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
enum Outcome {
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
    let is_measured = |k: usize| found.iter().all(|f| f.coefficients[k].is_some() && f.right[k] != 0.0);
    for a in 0..sum.terms.len() {
        for b in a + 1..sum.terms.len() {
            let others_right = (0..sum.terms.len()).all(|k| k == a || k == b || is_right(found, k));
            if others_right && is_measured(a) && is_measured(b) && has(a, b) && has(b, a) {
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
        for new in bases.iter().filter(|new| *new != old) {
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

fn remarks(sum: &Sum, holds: impl Fn(&str) -> bool) -> Vec<String> {
    let of_sum = sum.remarks.iter().filter(|(quantity, _)| holds(quantity));
    of_sum.map(|(_, remark)| remark.clone()).collect()
}

/// Either each term for itself, or the factor of the bracket and what is left: whichever takes fewer words.
fn best_sentences(sum: &Sum, outcomes: &[Outcome]) -> Vec<String> {
    let one_by_one = each_by_itself(sum, outcomes);
    // Brackets, roots and fractions make a sentence longer than words do.
    let length = |sentences: &[String]| {
        let signs = sentences.iter().map(|s| s.matches(['(', '/', '^']).count());
        20 * sentences.len() + signs.sum::<usize>()
    };
    match bracket_first(sum, outcomes) {
        Some(bracketed) if length(&bracketed) < length(&one_by_one) => bracketed,
        _ => one_by_one,
    }
}

fn each_by_itself(sum: &Sum, outcomes: &[Outcome]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (term, outcome) in sum.terms.iter().zip(outcomes) {
        // Beside the bracket's factor, a coefficient is shorter inside of it.
        let inner = |name: &Monomial| name.times(&sum.bracket.inverse());
        match outcome {
            Outcome::Named(name) if term.is_bracketed && is_simpler(&inner(name), name) && !sum.bracket.is_unit() => {
                sentences.push(sentence(
                    sum,
                    term,
                    &inner(name),
                    &inner(&term.right),
                    " in the bracket",
                ));
            }
            Outcome::Named(name) => {
                let forgotten = term.is_bracketed && !sum.bracket.is_unit() && inner(&term.right) == *name;
                let extra = if forgotten {
                    format!(" (the bracket around all of it is {})", sum.bracket.as_action())
                } else {
                    String::new()
                };
                sentences.push(sentence(sum, term, name, &term.right, "") + &extra);
            }
            other => sentences.extend(unnamed(sum, term, other)),
        }
    }
    sentences
}

fn is_simpler(a: &Monomial, b: &Monomial) -> bool {
    a.len() < b.len() || a.len() == b.len() && a.is_unit()
}

/// The factor of the bracket is wrong, and so are perhaps some of its terms beside.
fn bracket_first(sum: &Sum, outcomes: &[Outcome]) -> Option<Vec<String>> {
    let named = |outcome: &Outcome, term: &Term| match outcome {
        Outcome::Named(name) => Some(name.clone()),
        Outcome::Right => Some(term.right.clone()),
        _ => None,
    };
    let bracketed: Vec<usize> = (0..outcomes.len()).filter(|&k| sum.terms[k].is_bracketed).collect();
    let (&first, _) = bracketed.split_first()?;
    // Its first term stands there without a factor: it shows what the bracket is multiplied by.
    let factor = named(&outcomes[first], &sum.terms[first])?;
    if matches!(outcomes[first], Outcome::Right) {
        return None;
    }
    let mut sentences = vec![bracket_sentence(&factor, &sum.bracket)];
    for &k in &bracketed[1..] {
        let (term, outcome) = (&sum.terms[k], &outcomes[k]);
        let Some(name) = named(outcome, term) else {
            sentences.extend(unnamed(sum, term, outcome));
            continue;
        };
        let (inner, right) = (name.times(&factor.inverse()), term.right.times(&sum.bracket.inverse()));
        if inner != right {
            sentences.push(sentence(sum, term, &inner, &right, " in the bracket"));
        }
    }
    let outside = (0..outcomes.len()).filter(|k| !bracketed.contains(k));
    for k in outside {
        match &outcomes[k] {
            Outcome::Named(name) => sentences.push(sentence(sum, &sum.terms[k], name, &sum.terms[k].right, "")),
            other => sentences.extend(unnamed(sum, &sum.terms[k], other)),
        }
    }
    Some(sentences)
}

fn bracket_sentence(got: &Monomial, right: &Monomial) -> String {
    if got.is_unit() && !got.is_negative() {
        return format!("the bracket is not {}", right.as_action());
    }
    if *got == right.clone().negated() {
        return "the sign is flipped: every value is minus the right one".into();
    }
    if right.is_unit() {
        return format!("all of it is {}; it should not be", got.as_action());
    }
    let missing = missing_factor(got, right);
    format!(
        "the bracket is {}; it should be {}{missing}",
        got.as_action(),
        right.as_action()
    )
}

fn unnamed(sum: &Sum, term: &Term, outcome: &Outcome) -> Option<String> {
    let name = &term.name;
    match (outcome, sum.wording) {
        (Outcome::Missing, Wording::Factor) => Some(format!("the term with {name} is missing")),
        (Outcome::Missing, Wording::Number) => Some(format!("{name} is 0; it should be {}", term.right)),
        (Outcome::Rounded, _) => Some(format!(
            "the coefficient of {name} is computed of numbers rounded to f32: {} loses its digits where it is small; compute in \
             f64, and convert once, at the end",
            term.right.complements().join(" or ")
        )),
        (Outcome::Unknown, Wording::Factor) => Some(format!(
            "the coefficient of {name} is not {} (no product of the known quantities has its values)",
            term.right
        )),
        (Outcome::Unknown, Wording::Number) => Some(format!(
            "{name} is not {} (no product of the known quantities has its values)",
            term.right
        )),
        _ => None,
    }
}

/// One wrong coefficient beside the right one.
fn sentence(sum: &Sum, term: &Term, got: &Monomial, right: &Monomial, place: &str) -> String {
    let name = &term.name;
    if sum.wording == Wording::Number {
        return format!("{name} is {got}; it should be {right}{}", missing_factor(got, right));
    }
    if right.is_zero() {
        return format!("{name} is there, {}; it does not belong there", got.as_action());
    }
    if *got == right.clone().negated() {
        let (is, should) = if right.is_negative() {
            ("added", "subtracted")
        } else {
            ("subtracted", "added")
        };
        return format!("{name} has the wrong sign: it is {is}; it should be {should}");
    }
    if got.is_unit() && !got.is_negative() {
        return format!(
            "{name} is not multiplied by anything{place}; it should be {}",
            right.as_action()
        );
    }
    if right.is_unit() && !right.is_negative() {
        return format!(
            "{name} is {}{place}; it should stand there without a factor",
            got.as_action()
        );
    }
    format!(
        "{name} is {}{place}; it should be {}{}",
        got.as_action(),
        right.as_action(),
        missing_factor(got, right)
    )
}

/// Words for what is all right but for one factor that is not there.
fn missing_factor(got: &Monomial, right: &Monomial) -> String {
    let ratio = right.times(&got.inverse());
    if ratio.len() == 1 && got.distance(right) == 1 && got.len() < right.len() && !ratio.is_negative() {
        let is_division = ratio.halves().iter().all(|(_, power)| *power < 0);
        return if is_division {
            format!(": the division by {} is missing", ratio.inverse())
        } else {
            format!(": the factor {ratio} is missing")
        };
    }
    String::new()
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
