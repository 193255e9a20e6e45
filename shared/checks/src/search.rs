//! Looks for the mistake: which arrays, with which coefficients, give the result to rounding in all cases?

use ndarray::{Array4, Axis, s};

use crate::coefficients::{Found, Measured, UNNAMED, name_coefficients};
use crate::fault::Fault;
use crate::least_squares::fit;
use crate::structure;
use crate::sum::{Case, Sum, TOLERANCE, Unit, values_of};

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
    OfTerm(MakeOfTerm),
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
    let mut best = Best::default();
    best.consider(given_back(sum).map(|fault| (PLAIN, fault)));
    best.consider(cause(sum));
    if !best.is_plain() {
        best.consider(cause_where_wrong(sum));
    }
    let fault = best.0.map(|(_, fault)| fault);
    let fault = fault.unwrap_or_else(|| structure::where_it_is_wrong(sum));
    fault.fact(format!("formula: {}", sum.formula))
}

/// The fault of a sum that is wrong, if all of it has a name.
pub(crate) fn named(sum: &Sum) -> Option<Fault> {
    let mut best = Best::default();
    best.consider(given_back(sum).map(|fault| (PLAIN, fault)));
    best.consider(cause(sum));
    best.consider(cause_where_wrong(sum));
    let (cost, fault) = best.0?;
    (cost < UNNAMED).then(|| fault.fact(format!("formula: {}", sum.formula)))
}

/// The cause, and what it costs to tell.
fn cause(sum: &Sum) -> Option<(usize, Fault)> {
    structure::clamped(sum)
        .or_else(|| structure::constant_added(sum))
        .or_else(|| structure::same_numbers_elsewhere(sum))
        .map(|fault| (PLAIN, fault))
        .or_else(|| with_changes(sum))
}

/// The same for the calls that are wrong, where others are right.
fn cause_where_wrong(sum: &Sum) -> Option<(usize, Fault)> {
    let is_wrong = |case: &Case| (0..case.got.dim().0).any(|image| !(Unit { case, image }).is_right(sum));
    let (wrong, right): (Vec<&Case>, Vec<&Case>) = sum.cases.iter().partition(|case| is_wrong(case));
    if right.is_empty() {
        return None;
    }
    let part = Sum {
        cases: wrong.iter().copied().cloned().collect(),
        ..sum.clone()
    };
    let tag = wrong[0].tags.iter().find(|tag| {
        let has = |case: &&Case| case.tags.contains(tag);
        wrong.iter().all(has) && !right.iter().any(has)
    });
    let place = match tag {
        Some(tag) => format!("only {tag}"),
        None if wrong.len() <= 3 => {
            let names: Vec<&str> = wrong.iter().map(|case| case.name.as_str()).collect();
            format!("only in {}", names.join("; "))
        }
        None => format!("in {} of {} calls", wrong.len(), sum.cases.len()),
    };
    let (cost, fault) = cause(&part)?;
    Some((cost + 5, fault.about(&place)))
}

/// An argument that came back as it was.
fn given_back(sum: &Sum) -> Option<Fault> {
    let index = (0..sum.terms.len()).find(|&k| sum.cases.iter().all(|case| case.got == case.terms[k]))?;
    let name = &sum.terms[index].name;
    let words = match &sum.unchanged {
        Some(words) if index == 0 => words.clone(),
        _ => format!("{name} came back unchanged"),
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
    for (index, term) in sum.terms.iter().enumerate() {
        for (words, make) in MADE_OF_A_TERM {
            changes.push(Change {
                terms: vec![index],
                because: words.replace("TERM", term.name.strip_prefix("the ").unwrap_or(&term.name)),
                array: Make::OfTerm(make),
            });
        }
    }
    changes
}

type MakeOfTerm = fn(&Array4<f32>) -> Array4<f32>;

/// What may become of an argument before it is used.
const MADE_OF_A_TERM: [(&str, MakeOfTerm); 14] = [
    ("all images take TERM of the first image of the batch", |a| {
        image_for_all(a, 0)
    }),
    ("all images take TERM of the last image of the batch", |a| {
        image_for_all(a, a.dim().0 - 1)
    }),
    ("TERM is the mean over the images of the batch", |a| {
        let mean = a.mean_axis(Axis(0)).unwrap_or_default();
        broadcast(&mean.insert_axis(Axis(0)), a)
    }),
    ("the images of TERM are taken in the reverse order", |a| {
        a.slice(s![..;-1, .., .., ..]).to_owned()
    }),
    ("each image takes TERM of the next one", |a| {
        Array4::from_shape_fn(a.dim(), |(b, c, h, w)| a[[(b + 1) % a.dim().0, c, h, w]])
    }),
    ("all channels take TERM of the first channel", |a| {
        broadcast(&a.slice(s![.., ..1, .., ..]).to_owned(), a)
    }),
    ("TERM is the mean over the channels", |a| {
        broadcast(&a.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1)), a)
    }),
    ("TERM is clamped to [-1, 1]", |a| a.mapv(|v| v.clamp(-1.0, 1.0))),
    ("TERM is clamped to [0, 1]", |a| a.mapv(|v| v.clamp(0.0, 1.0))),
    ("the absolute value of TERM is taken", |a| a.mapv(f32::abs)),
    ("TERM is squared", |a| a.mapv(|v| v * v)),
    ("TERM is divided by its norm, image by image", |a| {
        let mut a = a.clone();
        for mut image in a.outer_iter_mut() {
            let norm = image.iter().map(|v| v * v).sum::<f32>().sqrt();
            image.mapv_inplace(|v| v / norm);
        }
        a
    }),
    ("the rows and columns of TERM are exchanged", |a| {
        turned(a, [0, 1, 3, 2])
    }),
    ("TERM is flipped left to right", |a| {
        a.slice(s![.., .., .., ..;-1]).to_owned()
    }),
];

fn image_for_all(a: &Array4<f32>, image: usize) -> Array4<f32> {
    broadcast(&a.slice(s![image..=image, .., .., ..]).to_owned(), a)
}

fn broadcast(small: &Array4<f32>, like: &Array4<f32>) -> Array4<f32> {
    small
        .broadcast(like.raw_dim())
        .map_or_else(|| like.clone(), |view| view.to_owned())
}

/// Only where the image is a square.
fn turned(a: &Array4<f32>, order: [usize; 4]) -> Array4<f32> {
    let turned = a.clone().permuted_axes(order);
    if turned.dim() == a.dim() { turned } else { a.clone() }
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
