//! Formulas behind values.

use super::*;

fn case(a: f64, b: f64) -> Vec<Quantity> {
    vec![
        Quantity::plain("a", a),
        Quantity::plain("1 - a", 1.0 - a),
        Quantity::plain("b", b),
        Quantity::rare("t", 100.0 * a * b + 3.0),
        Quantity::constant("2", 2.0),
    ]
}

fn name(f: impl Fn(f64, f64) -> f64, right: &Monomial) -> Option<String> {
    let points = [(0.2, 0.9), (0.5, 0.55), (0.83, 0.3), (0.34, 0.12)];
    let cases: Vec<Vec<Quantity>> = points.iter().map(|&(a, b)| case(a, b)).collect();
    let values: Vec<f64> = points.iter().map(|&(a, b)| f(a, b)).collect();
    let errors: Vec<f64> = values.iter().map(|v| v.abs() * 1e-5).collect();
    let target = Target {
        values: &values,
        errors: &errors,
    };
    let slices: Vec<&[Quantity]> = cases.iter().map(Vec::as_slice).collect();
    let right_values: Vec<f64> = cases.iter().map(|case| right.value(case)).collect();
    Some(
        Lexicon::new(&slices)
            .name_of(&target, right, &right_values)?
            .to_string(),
    )
}

#[test]
fn formulas_are_found_behind_their_values() {
    let one = Monomial::one();
    assert_eq!(name(|a, _| a, &one).unwrap(), "a");
    assert_eq!(name(|a, _| (1.0 - a).sqrt(), &one).unwrap(), "sqrt(1 - a)");
    assert_eq!(name(|a, b| -2.0 * a / b.sqrt(), &one).unwrap(), "-2 a / sqrt(b)");
    assert_eq!(name(|a, b| a * b * (1.0 - a), &one).unwrap(), "a (1 - a) b");
    assert_eq!(name(|a, b| 100.0 * a * b + 3.0, &one).unwrap(), "t");
    assert_eq!(name(|a, b| (a + b).sin(), &one), None);
    assert_eq!(name(|_, _| 0.777, &one), None);
}

#[test]
fn four_factors_are_found_near_what_is_right() {
    let right = Monomial::of(&[("a", 0.5), ("1 - a", 1.0), ("b", -1.0)]);
    assert_eq!(
        name(|a, b| 2.0 * a.sqrt() * (1.0 - a) / b, &right).unwrap(),
        "2 sqrt(a) (1 - a) / b"
    );
}
