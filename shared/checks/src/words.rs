//! The sentences for wrong coefficients, beside the right ones.

use crate::coefficients::Outcome;
use crate::monomial::Monomial;
use crate::sum::{Sum, Term, Wording};

/// Either each term for itself, or the factor of the bracket and what is left: whichever takes fewer words.
pub(crate) fn best_sentences(sum: &Sum, outcomes: &[Outcome]) -> Vec<String> {
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
            "the coefficient of {name} is computed of numbers rounded to f32: {} loses its digits where it is \
            small; compute in \
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
        let how = if got.is_unit() && !got.is_negative() {
            String::new()
        } else {
            format!(", {}", got.as_action())
        };
        return format!("{name} is there{how}; it does not belong there");
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
