//! Arrays of a student's function against the reference solution's, to rounding.

use anyhow::{Context, Result};
use exchange::Message;
use ndarray::{Array4, ArrayD, Axis};

use super::asked::Answered;
use super::{Bench, Verdict, named, reference};
use crate::course::task::Task;

/// The largest error allowed, relative to the largest expected value. The public tests ask for a tenth of it.
const TOLERANCE: f64 = 1e-4;

/// Each answer that is right earns its share; the text tells of the first that is wrong. That errors are handed on
/// counts only beside a right result: a function that always fails does so, too.
pub fn judge(bench: &Bench, task: Task, formula: &str, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let (mut faults, mut results) = (Vec::new(), 0);
    for (request, answer) in asked.iter().zip(answers) {
        let expected = reference(bench, task, request)?.message;
        match compare(formula, request, &expected, &answer.message) {
            Ok(()) if !expected.texts.contains_key("error") => results += 1,
            Ok(()) => {}
            Err(fault) => faults.push(fault),
        }
    }
    let (wrong, all) = (faults.len(), asked.len());
    Ok(Verdict {
        share: if results == 0 {
            0.0
        } else {
            (all - wrong) as f64 / all as f64
        },
        text: match faults.first() {
            None => format!("All {all} random inputs: right."),
            Some(first) => match named::fault(asked, answers) {
                Some(fault) => format!("Wrong on {wrong} of {all} random inputs.\n{fault}"),
                None => format!("Wrong on {wrong} of {all} random inputs. The first of them:\n{first}"),
            },
        },
        ..Verdict::default()
    })
}

/// All texts and arrays of the expected answer must be there; the texts equal, the arrays nearly so.
fn compare(formula: &str, request: &Message, expected: &Message, answer: &Message) -> Result<(), String> {
    let what = describe(request);
    if answer.texts.contains_key("panic") {
        return Err(format!("{what}: the code panicked."));
    }
    match (expected.texts.get("error"), answer.texts.get("error")) {
        (Some(_), Some(_)) => return Ok(()),
        (Some(error), None) => return Err(format!("{what}: an error was expected ({error}), but there was none.")),
        (None, Some(error)) => {
            return Err(format!(
                "{what}: an unexpected error: {}",
                error.chars().take(500).collect::<String>()
            ));
        }
        (None, None) => {}
    }
    for (name, text) in &expected.texts {
        let got = answer.texts.get(name).map_or("nothing", String::as_str);
        if got != text {
            return Err(format!(
                "{what}: `{name}` is {}, expected {text}.",
                got.chars().take(200).collect::<String>()
            ));
        }
    }
    for (name, array) in &expected.arrays {
        let got = answer.array(name).map_err(|error| format!("{what}: {error}"))?;
        same(&what, formula, array, got)?;
    }
    Ok(())
}

/// `exercise 6.1, t = 300, t_prev = 200`
pub fn describe(request: &Message) -> String {
    let names = [
        "t",
        "t_prev",
        "variance",
        "alpha_bar",
        "operator",
        "sigma",
        "gamma_t",
        "lambda",
        "zeta",
        "form",
    ];
    let values: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name} = {}", request.texts.get(*name)?)))
        .collect();
    let exercise = request.texts.get("exercise").map_or("", String::as_str);
    format!("exercise {exercise}, {}", values.join(", "))
}

fn same(what: &str, formula: &str, expected: &ArrayD<f32>, got: &ArrayD<f32>) -> Result<(), String> {
    if expected.shape() != got.shape() {
        let (got, expected) = (got.shape(), expected.shape());
        return Err(format!("{what}: the result has shape {got:?}, expected {expected:?}."));
    }
    let (expected, got) = match (four_axes(expected), four_axes(got)) {
        (Ok(expected), Ok(got)) => (expected, got),
        (Err(error), _) | (_, Err(error)) => return Err(format!("{what}: {error}")),
    };
    checks::Check::new(what, &expected)
        .tolerance(TOLERANCE)
        .formula(formula)
        .diagnose(&got)
}

fn four_axes(array: &ArrayD<f32>) -> Result<Array4<f32>> {
    let mut array = array.clone();
    while array.ndim() < 4 {
        array = array.insert_axis(Axis(0));
    }
    array.into_dimensionality().context("an array of more than four axes")
}
