//! Looks for the mistake: which arrays, with which coefficients, give the result to rounding in all cases?

use ndarray::Array4;

use crate::case::{Case, Unit, values_of};
use crate::coefficients::{Found, Measured, UNNAMED, name_coefficients};
use crate::fault::Fault;
use crate::least_squares::fit;
use crate::made;
use crate::parts::{self, Part};
use crate::structure;
use crate::sum::{Sum, TOLERANCE, Wording};

/// A change of some terms' arrays, which every case can make.
#[derive(Clone)]
struct Change {
    terms: Vec<usize>,
    because: String,
    array: Make,
}

#[derive(Clone)]
enum Make {
    /// One of the case's own `others`.
    Other(usize),
    /// Made of the term itself.
    OfTerm(made::Make),
}

impl Change {
    /// What stands in the place of a term.
    fn of(&self, case: &Case, term: usize) -> Array4<f32> {
        match self.array {
            Make::Other(index) => {
                let array = case.others[index].arrays.iter().find(|(k, _)| *k == term);
                array.map_or_else(|| case.terms[term].clone(), |(_, array)| array.clone())
            }
            Make::OfTerm(make) => make(&case.terms[term]),
        }
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        !self.terms.iter().any(|term| other.terms.contains(term))
    }
}

/// The fault of a sum that is wrong.
pub(crate) fn explain(sum: &Sum) -> Fault {
    let fault = best_cause(sum).0.map(|(_, fault)| fault);
    let fault = fault.unwrap_or_else(|| structure::where_it_is_wrong(sum));
    fault.fact(format!("formula: {}", sum.formula))
}

/// The fault of a sum that is wrong, if all of it has a name.
pub(crate) fn named(sum: &Sum) -> Option<Fault> {
    let (cost, fault) = best_cause(sum).0?;
    (cost < UNNAMED).then(|| fault.fact(format!("formula: {}", sum.formula)))
}

fn best_cause(sum: &Sum) -> Best {
    let mut best = Best::default();
    best.consider(cause(sum));
    if !best.is_plain() {
        best.consider(cause_in(parts::where_wrong(sum)));
    }
    for find in [parts::of_images, parts::of_channels, parts::of_tags] {
        if !best.has_a_name() {
            find(sum)
                .into_iter()
                .for_each(|part| best.consider(cause_in(Some(part))));
        }
    }
    best
}

/// The cause, and what it costs to tell.
fn cause(sum: &Sum) -> Option<(usize, Fault)> {
    given_back(sum)
        .or_else(|| structure::clamped(sum))
        .or_else(|| structure::constant_added(sum))
        .or_else(|| structure::same_numbers_otherwise(sum))
        .map(|fault| (PLAIN, fault))
        .or_else(|| with_changes(sum))
}

/// The same for a part; it is told where it has a name, or where it is all that is wrong.
fn cause_in(part: Option<Part>) -> Option<(usize, Fault)> {
    let part = part?;
    let (cost, fault) = cause(&part.sum)?;
    (cost < UNNAMED || part.is_all_that_is_wrong).then(|| (cost + part.cost, fault.about(&part.place)))
}

/// An argument that came back as it was, where more belongs to the result.
fn given_back(sum: &Sum) -> Option<Fault> {
    if sum.wording == Wording::Number {
        return None;
    }
    let index = (0..sum.terms.len()).find(|&k| {
        let is_it = |case: &Case| case.got == case.terms[k];
        let is_as_it_should = |unit: Unit<'_>| unit.right(sum)[k] == 1.0;
        sum.cases.iter().all(is_it) && !sum.units().all(is_as_it_should)
    })?;
    let belongs = |k: usize| {
        let shows = |unit: Unit<'_>| unit.right(sum)[k] != 0.0 && unit.case.terms[k].iter().any(|v| *v != 0.0);
        k != index && sum.units().any(shows)
    };
    let others: Vec<&str> = (0..sum.terms.len())
        .filter(|k| belongs(*k))
        .map(|k| sum.terms[k].name.as_str())
        .collect();
    let name = &sum.terms[index].name;
    let words = match (&sum.unchanged, others.as_slice()) {
        (Some(words), _) if index == 0 => words.clone(),
        (_, []) => format!("{name} came back unchanged"),
        (_, [other]) => format!("{name} came back unchanged: {other} is not used"),
        (_, [first @ .., last]) => format!(
            "{name} came back unchanged: {} and {last} are not used",
            first.join(", ")
        ),
    };
    Some(Fault::new(format!("{}: {words}", sum.what)))
}

/// Wrong coefficients, or other arrays in the place of terms: none, one, or two of them, whichever tells it in the
/// fewest
/// words.
fn with_changes(sum: &Sum) -> Option<(usize, Fault)> {
    let changes = changes(sum);
    let probes = probes(sum);
    let mut best = Best::default();
    best.consider(try_changes(sum, &[], &probes));
    for change in &changes {
        if !best.is_plain() {
            best.consider(try_changes(sum, &[change], &probes));
        }
    }
    if best.0.is_none() {
        let pairs = changes.iter().enumerate().flat_map(|(i, one)| {
            let others = changes[i + 1..].iter().filter(|other| other.is_apart_from(one));
            others.map(move |other| [one, other])
        });
        for pair in pairs {
            if !best.is_plain() {
                best.consider(try_changes(sum, &pair, &probes));
            }
        }
    }
    best.0
}

/// The explanation that costs the least so far.
#[derive(Default)]
struct Best(Option<(usize, Fault)>);

impl Best {
    fn consider(&mut self, found: Option<(usize, Fault)>) {
        if let Some(found) = found
            && self.0.as_ref().is_none_or(|best| found.0 < best.0)
        {
            self.0 = Some(found);
        }
    }

    /// Whether all of it is named.
    fn has_a_name(&self) -> bool {
        self.0.as_ref().is_some_and(|best| best.0 < UNNAMED)
    }

    /// Whether it is one that needs no better one.
    fn is_plain(&self) -> bool {
        self.0.as_ref().is_some_and(|best| best.0 <= PLAIN)
    }
}

/// An explanation that costs no more needs no better one: a single change.
const PLAIN: usize = 10;

/// Images to try changes on first; almost all fail there.
fn probes(sum: &Sum) -> Vec<Unit<'_>> {
    let mut wrong: Vec<Unit<'_>> = sum.units().filter(|unit| !unit.is_right(sum)).collect();
    // One in the middle is neither the first image of a batch nor the last step, where much is the same.
    wrong.sort_by_key(|unit| usize::from(unit.image != 1));
    wrong.truncate(2);
    wrong
}

fn changes(sum: &Sum) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(case) = sum.cases.first() {
        for (index, other) in case.others.iter().enumerate() {
            changes.push(Change {
                terms: other.arrays.iter().map(|(term, _)| *term).collect(),
                because: other.because.clone(),
                array: Make::Other(index),
            });
        }
    }
    // A number's only term is an array of ones.
    let arrays = if sum.wording == Wording::Factor {
        sum.terms.as_slice()
    } else {
        &[]
    };
    for (index, term) in arrays.iter().enumerate() {
        for (words, make) in made::OF_A_TERM {
            changes.push(Change {
                terms: vec![index],
                because: words.replace("TERM", term.name.strip_prefix("the ").unwrap_or(&term.name)),
                array: Make::OfTerm(make),
            });
        }
    }
    changes
}

/// The fault, if these changes explain all cases to rounding.
fn try_changes(sum: &Sum, changes: &[&Change], probes: &[Unit<'_>]) -> Option<(usize, Fault)> {
    let explains = |unit: &Unit<'_>| found(sum, changes, unit).is_some();
    if !probes.iter().all(explains) {
        return None;
    }
    let found: Option<Vec<Found<'_>>> = sum.units().map(|unit| found(sum, changes, &unit)).collect();
    let mut sentences: Vec<String> = changes.iter().map(|change| change.because.clone()).collect();
    let named = name_coefficients(sum, &found?);
    if named.sentences.is_empty() && sentences.is_empty() {
        return None;
    }
    sentences.extend(named.sentences);
    let fault = Fault::new(format!("{}: {}", sum.what, sentences.join("; and ")));
    // Where coefficients stay without a name, an array that happens to span the same sums proves nothing.
    let change = if named.is_complete { PLAIN } else { 50 * PLAIN };
    let cost = named.cost + change * changes.len();
    Some((cost, named.facts.into_iter().fold(fault, Fault::fact)))
}

/// The coefficients with which the changed terms give the result of one image; nothing if none do.
fn found<'a>(sum: &Sum, changes: &[&Change], unit: &Unit<'a>) -> Option<Found<'a>> {
    let columns: Vec<Vec<f64>> = (0..sum.terms.len())
        .map(|k| match changes.iter().find(|change| change.terms.contains(&k)) {
            Some(change) => values_of(&change.of(unit.case, k), unit.image),
            None => values_of(&unit.case.terms[k], unit.image),
        })
        .collect();
    // As where the mean of nothing, or a scale of 0, was taken.
    if columns.iter().flatten().any(|value| !value.is_finite()) {
        return None;
    }
    let got = unit.got();
    let right = unit.right(sum);
    // A column of zeros, as z at the last step, says nothing of its coefficient.
    let used: Vec<usize> = (0..columns.len())
        .filter(|&k| columns[k].iter().any(|v| *v != 0.0))
        .collect();
    let slices: Vec<&[f64]> = used.iter().map(|&k| columns[k].as_slice()).collect();
    let fit = fit(&slices, &got).filter(|fit| fit.misfit <= TOLERANCE);
    let fit = fit.or_else(|| {
        fixed(&columns, &right, &got).then(|| crate::least_squares::Fit {
            coefficients: used.iter().map(|&k| right[k]).collect(),
            errors: vec![0.0; used.len()],
            slack: vec![0.0; used.len()],
            misfit: 0.0,
        })
    })?;
    let mut coefficients = vec![None; columns.len()];
    for (place, &k) in used.iter().enumerate() {
        coefficients[k] = Some(Measured {
            value: fit.coefficients[place],
            error: fit.errors[place],
            slack: TOLERANCE * fit.slack[place],
        });
    }
    Some(Found {
        unit: *unit,
        coefficients,
        right,
    })
}

/// Whether the right coefficients do, where the columns are too few numbers or too much alike to tell.
fn fixed(columns: &[Vec<f64>], right: &[f64], got: &[f64]) -> bool {
    let (mut worst, mut size) = (0.0f64, 1e-30f64);
    for (at, got) in got.iter().enumerate() {
        let parts = right.iter().zip(columns).map(|(c, column)| c * column[at]);
        worst = worst.max((got - parts.clone().sum::<f64>()).abs());
        size = size.max(parts.map(f64::abs).sum());
    }
    worst <= TOLERANCE * size
}
