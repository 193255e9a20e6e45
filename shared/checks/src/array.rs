//! An array against the right one: what differs, and nothing beyond that.

use std::fmt::Write;

use ndarray::{Array4, Axis};

/// A comparison of an array with the right one. Where more is known of the right one, [`crate::Sum`] names the mistake.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    what: String,
    expected: &'a Array4<f32>,
    formula: Option<String>,
    tolerance: f64,
}

/// Panics with what differs if `got` is not `expected` to within `tolerance` times the largest expected value.
///
/// # Panics
///
/// With what differs.
#[track_caller]
pub fn expect_close(what: &str, got: &Array4<f32>, expected: &Array4<f32>, tolerance: f64) {
    Check::new(what, expected).tolerance(tolerance).verify(got);
}

impl<'a> Check<'a> {
    /// A comparison with `expected`; `what` names the thing that is checked in the message.
    #[must_use]
    pub fn new(what: impl Into<String>, expected: &'a Array4<f32>) -> Self {
        Self {
            what: what.into(),
            expected,
            formula: None,
            tolerance: 1e-5,
        }
    }

    /// The largest error allowed, relative to the largest expected value (1e-5 if not set).
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The right formula, which the message will show.
    #[must_use]
    pub fn formula(mut self, formula: impl Into<String>) -> Self {
        self.formula = Some(formula.into());
        self
    }

    /// Compares.
    ///
    /// # Panics
    ///
    /// With what differs, if `got` is wrong.
    #[track_caller]
    pub fn verify(&self, got: &Array4<f32>) {
        if let Err(message) = self.diagnose(got) {
            panic!("{message}");
        }
    }

    /// What differs, if `got` is wrong.
    ///
    /// # Errors
    ///
    /// The message, if `got` is wrong.
    pub fn diagnose(&self, got: &Array4<f32>) -> Result<(), String> {
        let expected = self.expected;
        if got.dim() != expected.dim() {
            let (got, expected) = (got.shape(), expected.shape());
            return Err(self.message(
                &format!("its shape is {got:?}, expected [B, C, H, W] = {expected:?}"),
                None,
            ));
        }
        let bad = got.iter().filter(|v| !v.is_finite()).count();
        if bad > 0 {
            return Err(self.message(&format!("{bad} of {} values are NaN or infinite", got.len()), None));
        }
        let bound = self.tolerance * scale(expected);
        if distance(got, expected) <= bound {
            return Ok(());
        }
        Err(self.message(&self.difference(got, bound), Some(got)))
    }

    fn difference(&self, got: &Array4<f32>, bound: f64) -> String {
        if got.iter().all(|v| *v == 0.0) {
            return "the result is all zeros".into();
        }
        let factor = dot(got, self.expected) / dot(self.expected, self.expected);
        let scaled = self.expected.mapv(|v| (f64::from(v) * factor) as f32);
        if factor.is_finite() && factor != 0.0 && distance(got, &scaled) <= 2.0 * bound * factor.abs().max(1e-3) {
            return format!("the result is the right one times {factor:.6}");
        }
        for (axis, name) in ["images", "channels"].into_iter().enumerate() {
            let pairs = got.axis_iter(Axis(axis)).zip(self.expected.axis_iter(Axis(axis)));
            let is_wrong = pairs.map(|(a, b)| a.iter().zip(&b).any(|(a, b)| f64::from((a - b).abs()) > bound));
            let wrong: Vec<usize> = is_wrong
                .enumerate()
                .filter_map(|(i, wrong)| wrong.then_some(i))
                .collect();
            let count = got.shape()[axis];
            if wrong.len() < count {
                return format!("only the {name} {wrong:?} of {count} are wrong");
            }
        }
        "it is another array".into()
    }

    fn message(&self, cause: &str, got: Option<&Array4<f32>>) -> String {
        let mut text = format!("{} is wrong: {cause}.", self.what);
        if let Some(formula) = &self.formula {
            let _ = write!(text, "\n  formula: {formula}");
        }
        let Some(got) = got else { return text };
        let mut worst = ((0, 0, 0, 0), 0.0);
        for (index, value) in got.indexed_iter() {
            let off = (value - self.expected[index]).abs();
            if off > worst.1 {
                worst = (index, off);
            }
        }
        let _ = write!(
            text,
            "\n  [image, channel, row, column] {:?}: {:.6} came, {:.6} expected",
            worst.0, got[worst.0], self.expected[worst.0]
        );
        text
    }
}

fn scale(a: &Array4<f32>) -> f64 {
    a.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(f64::from(v.abs())))
}

fn distance(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let off = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    off.fold(0.0, f64::max)
}

fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(change: impl Fn(&Array4<f32>) -> Array4<f32>) -> String {
        let right = Array4::from_shape_fn((3, 2, 4, 4), |(b, c, i, j)| {
            ((7 * b + 5 * c + 3 * i + j * j) % 11) as f32 - 5.0
        });
        let verdict = Check::new("f(x)", &right).formula("x").diagnose(&change(&right));
        verdict.err().unwrap_or_default()
    }

    #[test]
    fn what_differs_is_told() {
        assert_eq!(verdict(|x| x + 1e-6), "");
        assert!(verdict(|x| x * 0.777).contains("the right one times 0.777"));
        assert!(verdict(|x| x * 0.0).contains("all zeros"));
        assert!(verdict(|x| x / 0.0).contains("NaN or infinite"));
        assert!(verdict(|x| x.clone().reversed_axes()).contains("its shape is [4, 4, 2, 3]"));
        assert!(verdict(|x| x.mapv(f32::sin)).contains("another array"));
        let one = verdict(|x| {
            let mut x = x.clone();
            x.index_axis_mut(Axis(0), 1).mapv_inplace(|v| v * v + 1.0);
            x
        });
        assert!(one.contains("only the images [1] of 3"), "{one}");
    }

    #[test]
    #[should_panic(expected = "times 0.5")]
    fn the_short_form_panics() {
        let x = Array4::ones((1, 1, 2, 2));
        expect_close("double(x)", &x, &(&x * 2.0), 1e-5);
    }
}
