//! What can be said of a wrong array that is no sum of the known terms: order, limits, and where it is wrong.

use ndarray::{Array4, Axis};

use crate::case::Case;
use crate::fault::Fault;
use crate::made::{self, Make};
use crate::sum::{Sum, TOLERANCE, Wording};

impl Case {
    /// The right result.
    pub(crate) fn expected(&self, sum: &Sum) -> Array4<f32> {
        let mut expected = Array4::<f32>::zeros(self.got.dim());
        for (image, mut row) in expected.outer_iter_mut().enumerate() {
            for (term, array) in sum.terms.iter().zip(&self.terms) {
                let coefficient = term.right.value(&self.quantities[image]) as f32;
                row.scaled_add(coefficient, &array.index_axis(Axis(0), image));
            }
        }
        expected
    }

    fn bound(&self, expected: &Array4<f32>) -> f32 {
        let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        10.0 * TOLERANCE as f32 * largest
    }
}

fn alike(a: &Array4<f32>, b: &Array4<f32>, bound: f32) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound)
}

/// The right numbers in another place, or on another scale.
pub(crate) fn same_numbers_otherwise(sum: &Sum) -> Option<Fault> {
    let explains = |make: Make| is_made_of_the_right_one(sum, make);
    // A single number has no scale of its own.
    let scales = made::SCALES.into_iter().filter(|_| sum.wording == Wording::Factor);
    let (words, _) = made::ORDERS
        .into_iter()
        .chain(scales)
        .find(|(_, make)| explains(*make))?;
    Some(Fault::new(format!("{}: the numbers are right, but {words}", sum.what)))
}

/// Whether what came is made of the right results, and that is another thing than they are themselves.
fn is_made_of_the_right_one(sum: &Sum, make: impl Fn(&Array4<f32>) -> Array4<f32>) -> bool {
    let mut differs = false;
    let explains = |case: &Case| {
        let expected = case.expected(sum);
        let (made, bound) = (make(&expected), case.bound(&expected));
        differs |= !alike(&made, &expected, bound);
        alike(&case.got, &made, bound)
    };
    sum.cases.iter().all(explains) && differs
}

/// The right numbers, cut off at limits.
pub(crate) fn clamped(sum: &Sum) -> Option<Fault> {
    let all = || sum.cases.iter().flat_map(|case| case.got.iter().copied());
    let (low, high) = (
        all().fold(f32::INFINITY, f32::min),
        all().fold(f32::NEG_INFINITY, f32::max),
    );
    let is_ordered = low <= high;
    if !is_ordered || !is_made_of_the_right_one(sum, |expected| expected.mapv(|v| v.clamp(low, high))) {
        return None;
    }
    let count = |limit: f32| all().filter(|v| *v == limit).count();
    let (at_low, at_high) = (count(low), count(high));
    let words = match (at_low > 1, at_high > 1) {
        (true, true) => format!("clamped to [{low}, {high}]"),
        (true, false) => format!("cut off below {low}"),
        (false, true) => format!("cut off above {high}"),
        (false, false) => return None,
    };
    Some(
        Fault::new(format!(
            "{}: the result is right, but {words}; the formula has no limits",
            sum.what
        ))
        .fact(format!("{at_low} values are exactly {low}, {at_high} exactly {high}")),
    )
}

/// The right numbers, and the same one added to all of them.
pub(crate) fn constant_added(sum: &Sum) -> Option<Fault> {
    let offsets = |case: &Case| -> (f32, f32) {
        let (rest, bound) = (&case.got - &case.expected(sum), case.bound(&case.expected(sum)));
        (rest.mean().unwrap_or(f32::NAN), bound)
    };
    let (constant, bound) = sum.cases.iter().map(offsets).min_by(|a, b| a.1.total_cmp(&b.1))?;
    let explains = |case: &Case| {
        let expected = case.expected(sum);
        alike(&case.got, &(&expected + constant), case.bound(&expected))
    };
    if constant.abs() <= 10.0 * bound || !sum.cases.iter().all(explains) {
        return None;
    }
    Some(Fault::new(format!(
        "{}: a constant, {constant:.4}, is added to every value of the right result",
        sum.what
    )))
}

/// Nothing but facts: which calls, which images, which channels, and some numbers.
pub(crate) fn where_it_is_wrong(sum: &Sum) -> Fault {
    let wrong: Vec<&Case> = sum
        .cases
        .iter()
        .filter(|case| {
            let expected = case.expected(sum);
            !alike(&case.got, &expected, case.bound(&expected) / 10.0)
        })
        .collect();
    let case = wrong.first().copied().unwrap_or(&sum.cases[0]);
    let expected = case.expected(sum);
    let mut fault = Fault::new(format!(
        "{} is wrong in {} of {} calls, and no sum of its terms with any coefficients gives what came",
        sum.what,
        wrong.len().max(1),
        sum.cases.len()
    ));
    let bound = case.bound(&expected);
    let parts = |axis: usize| -> Vec<usize> {
        let pairs = case.got.axis_iter(Axis(axis)).zip(expected.axis_iter(Axis(axis)));
        let is_wrong = pairs.map(|(a, b)| a.iter().zip(&b).any(|(a, b)| (a - b).abs() > bound));
        is_wrong
            .enumerate()
            .filter_map(|(i, wrong)| wrong.then_some(i))
            .collect()
    };
    let mut part = String::new();
    for (axis, name) in ["images", "channels", "rows", "columns"].iter().enumerate() {
        let (bad, all) = (parts(axis), case.got.shape()[axis]);
        if !bad.is_empty() && bad.len() < all {
            part = format!("; there only the {name} {bad:?} of {all} are wrong");
            break;
        }
    }
    fault = fault.fact(format!("the first is wrong at {}{part}", case.name));
    let mut worst = ((0, 0, 0, 0), 0.0);
    for (index, value) in case.got.indexed_iter() {
        let off = (value - expected[index]).abs();
        if off > worst.1 {
            worst = (index, off);
        }
    }
    let at = worst.0;
    let fed: Vec<String> = sum
        .terms
        .iter()
        .zip(&case.terms)
        .map(|(term, array)| format!("{} = {:.4}", term.name, array[at]))
        .collect();
    fault.fact(format!(
        "[image, channel, row, column] {at:?}: {:.6} came, {:.6} expected, where {}",
        case.got[at],
        expected[at],
        fed.join(", ")
    ))
}
