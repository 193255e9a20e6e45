//! Parts of what came: where a mistake shows in some calls, images or channels only.

use ndarray::{Array4, Axis};

use crate::case::{Case, Other, Unit};
use crate::lexicon::LEAST_CASES;
use crate::sum::Sum;

/// A part of a sum, and the words for where it is.
pub(crate) struct Part {
    pub sum: Sum,
    pub place: String,
    /// What these words cost.
    pub cost: usize,
    /// Whether everything else is right.
    pub is_all_that_is_wrong: bool,
}

/// The calls that are wrong, where others are right.
pub(crate) fn where_wrong(sum: &Sum) -> Option<Part> {
    let (wrong, right): (Vec<&Case>, Vec<&Case>) = sum.cases.iter().partition(|case| is_wrong(sum, case));
    if right.is_empty() {
        return None;
    }
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
    let part = of_cases(sum, wrong.into_iter().cloned().collect());
    Some(Part {
        // An argument may come back in these calls only: nothing is said of the others.
        sum: Sum {
            unchanged: None,
            ..part
        },
        place,
        cost: 5,
        is_all_that_is_wrong: true,
    })
}

/// The calls that have a tag, of which some are wrong, where not all of the wrong ones are wrong in the same way.
pub(crate) fn of_tags(sum: &Sum) -> Vec<Part> {
    let mut tags: Vec<&str> = sum.cases.iter().flat_map(|case| case.tags.iter().copied()).collect();
    tags.sort_unstable();
    tags.dedup();
    let part = |tag: &str| {
        let has = |case: &&Case| case.tags.contains(&tag);
        let (tagged, others): (Vec<&Case>, Vec<&Case>) = sum.cases.iter().partition(has);
        // What few calls have in common proves nothing; and where nothing is wrong, an edit that changes nothing there,
        // such as turning an image that is no square, would explain it.
        let is_fault = tagged.len() >= LEAST_CASES && tagged.iter().any(|case| is_wrong(sum, case));
        is_fault.then(|| Part {
            sum: of_cases(sum, tagged.into_iter().cloned().collect()),
            place: format!("{tag} (there is more that is wrong)"),
            cost: 8 + others.len(),
            is_all_that_is_wrong: false,
        })
    };
    tags.into_iter().filter_map(part).collect()
}

/// The images of each batch that are wrong, where it is the same ones in all.
pub(crate) fn of_images(sum: &Sum) -> Vec<Part> {
    along(sum, Axis(0), "image of each batch", "images of each batch")
        .into_iter()
        .collect()
}

/// The same of channels.
pub(crate) fn of_channels(sum: &Sum) -> Vec<Part> {
    along(sum, Axis(1), "channel", "channels").into_iter().collect()
}

/// From the number of images, or channels, to those that are wrong.
type Choice = fn(usize) -> Vec<usize>;

fn along(sum: &Sum, axis: Axis, one: &str, many: &str) -> Option<Part> {
    let choices: [(String, Choice); 4] = [
        (format!("only in the first {one}"), |_| vec![0]),
        (format!("in all {many} but the first"), |n| (1..n).collect()),
        (format!("only in the last {one}"), |n| vec![n - 1]),
        (format!("in all {many} but the last"), |n| (0..n - 1).collect()),
    ];
    let wrong: Vec<Vec<usize>> = sum.cases.iter().map(|case| wrong_along(sum, case, axis)).collect();
    let is_it = |choice: Choice| {
        let pairs = || sum.cases.iter().zip(&wrong);
        let chosen = |case: &Case| choice(case.got.len_of(axis));
        // A batch of one image tells nothing of which of several it is.
        pairs().all(|(case, wrong)| wrong.is_empty() || case.got.len_of(axis) < 2 || *wrong == chosen(case))
            && pairs().any(|(case, wrong)| case.got.len_of(axis) > 1 && !wrong.is_empty())
    };
    let (place, choice) = choices.into_iter().find(|(_, choice)| is_it(*choice))?;
    let cases = sum.cases.iter().filter(|case| case.got.len_of(axis) > 1);
    let cases = cases
        .map(|case| slice(case, axis, &choice(case.got.len_of(axis))))
        .collect();
    let part = of_cases(sum, cases);
    Some(Part {
        sum: Sum {
            unchanged: None,
            ..part
        },
        place,
        cost: 5,
        is_all_that_is_wrong: false,
    })
}

fn wrong_along(sum: &Sum, case: &Case, axis: Axis) -> Vec<usize> {
    let is_wrong = |index: &usize| is_wrong(sum, &slice(case, axis, &[*index]));
    (0..case.got.len_of(axis)).filter(is_wrong).collect()
}

fn is_wrong(sum: &Sum, case: &Case) -> bool {
    (0..case.got.dim().0).any(|image| !(Unit { case, image }).is_right(sum))
}

fn of_cases(sum: &Sum, cases: Vec<Case>) -> Sum {
    Sum { cases, ..sum.clone() }
}

/// Some images, or channels, of a call.
fn slice(case: &Case, axis: Axis, chosen: &[usize]) -> Case {
    let of = |array: &Array4<f32>| array.select(axis, chosen);
    let other = |other: &Other| Other {
        because: other.because.clone(),
        arrays: other.arrays.iter().map(|(term, array)| (*term, of(array))).collect(),
    };
    let quantities = if axis == Axis(0) {
        chosen.iter().map(|image| case.quantities[*image].clone()).collect()
    } else {
        case.quantities.clone()
    };
    Case {
        name: case.name.clone(),
        tags: case.tags.clone(),
        quantities,
        terms: case.terms.iter().map(of).collect(),
        others: case.others.iter().map(other).collect(),
        got: of(&case.got),
    }
}
