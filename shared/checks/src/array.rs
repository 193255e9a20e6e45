//! Arrays against the right ones.

use std::fmt::Write;

use ndarray::{Array4, Axis};

/// A comparison of an array with the right one, and what might be wrong with it.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    what: String,
    expected: &'a Array4<f32>,
    formula: Option<String>,
    tolerance: f64,
    suspects: Vec<(Array4<f32>, String)>,
    quantities: Vec<(String, f64)>,
    terms: Vec<(String, &'a Array4<f32>, f64)>,
}

/// Panics with a diagnosis if `got` is not `expected` to within `tolerance` times the largest expected value.
/// `suspects` are wrong results and the sentences that explain them.
///
/// [`Check`] offers more.
///
/// # Panics
///
/// With the diagnosis.
#[track_caller]
pub fn expect_close(
    what: &str,
    got: &Array4<f32>,
    expected: &Array4<f32>,
    tolerance: f64,
    suspects: &[(Array4<f32>, &str)],
) {
    let mut check = Check::new(what, expected).tolerance(tolerance);
    for (wrong, because) in suspects {
        check = check.suspect(wrong, *because);
    }
    check.verify(got);
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
            suspects: Vec::new(),
            quantities: Vec::new(),
            terms: Vec::new(),
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

    /// A wrong result and the sentence that explains it.
    #[must_use]
    pub fn suspect(mut self, wrong: &Array4<f32>, because: impl Into<String>) -> Self {
        self.suspects.push((wrong.clone(), because.into()));
        self
    }

    /// A number that may be missing, or be there once too often, as a factor. Its powers, its root and the ratios of
    /// two such numbers are tried as well.
    #[must_use]
    pub fn quantity(mut self, name: impl Into<String>, value: f64) -> Self {
        self.quantities.push((name.into(), value));
        self
    }

    /// A term of the right result: `expected` is the sum of `coefficient * array` over all terms. If the result at hand
    /// is such a sum with other coefficients, the message says which is wrong.
    #[must_use]
    pub fn term(mut self, name: impl Into<String>, array: &'a Array4<f32>, coefficient: f64) -> Self {
        self.terms.push((name.into(), array, coefficient));
        self
    }

    /// Compares.
    ///
    /// # Panics
    ///
    /// With the diagnosis, if `got` is wrong.
    #[track_caller]
    pub fn verify(&self, got: &Array4<f32>) {
        if let Err(message) = self.diagnose(got) {
            panic!("{message}");
        }
    }

    /// The diagnosis, if `got` is wrong.
    ///
    /// # Errors
    ///
    /// The message, if `got` is wrong.
    pub fn diagnose(&self, got: &Array4<f32>) -> Result<(), String> {
        if got.dim() != self.expected.dim() {
            return Err(self.message(&self.explain_shape(got), None));
        }
        let bad = got.iter().filter(|v| !v.is_finite()).count();
        if bad > 0 {
            let cause = format!("{bad} of {} values are NaN or infinite", got.len());
            return Err(self.message(&cause, None));
        }
        let bound = self.tolerance * scale(self.expected);
        if distance(got, self.expected) <= bound {
            return Ok(());
        }
        let cause = self.explain(got, bound);
        Err(self.message(&cause, Some(got)))
    }

    fn explain(&self, got: &Array4<f32>, bound: f64) -> String {
        let best = self
            .suspects
            .iter()
            .filter(|(wrong, _)| wrong.dim() == got.dim() && wrong.iter().all(|v| v.is_finite()))
            .map(|(wrong, because)| {
                (
                    distance(got, wrong) / (self.tolerance * scale(wrong)).max(bound),
                    because,
                )
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((off, because)) = best
            && off <= 1.5
        {
            return because.clone();
        }
        if got.iter().all(|v| *v == 0.0) {
            return "the result is all zeros".into();
        }
        self.explain_factor(got, bound)
            .or_else(|| self.explain_order(got, bound))
            .or_else(|| self.explain_terms(got))
            .or_else(|| self.explain_offset(got, bound))
            .or_else(|| self.explain_part(got, bound))
            .unwrap_or_else(|| "it differs from the formula".into())
    }

    fn explain_shape(&self, got: &Array4<f32>) -> String {
        let text = |a: &Array4<f32>| format!("{:?}", a.shape());
        let mut cause = format!(
            "its shape is {}, expected [B, C, H, W] = {}",
            text(got),
            text(self.expected)
        );
        let mut sorted = [got.shape().to_vec(), self.expected.shape().to_vec()];
        sorted.iter_mut().for_each(|s| s.sort_unstable());
        if sorted[0] == sorted[1] {
            cause.push_str(" (the axes are in another order)");
        }
        cause
    }

    /// Is it the right result times something?
    fn explain_factor(&self, got: &Array4<f32>, bound: f64) -> Option<String> {
        let factor = dot(got, self.expected) / dot(self.expected, self.expected);
        if !factor.is_finite() || factor == 0.0 {
            return None;
        }
        let scaled = self.expected.mapv(|v| (f64::from(v) * factor) as f32);
        if distance(got, &scaled) > bound * factor.abs().max(1e-3) * 2.0 {
            return None;
        }
        if (factor + 1.0).abs() < 1e-4 {
            return Some("the sign is flipped: every value is minus the right one".into());
        }
        let named = name_of(factor, &self.quantities, 10.0 * self.tolerance);
        Some(match named {
            Some(name) => format!("the result is off by a factor of {name} (= {factor:.6})"),
            None => format!("the result is off by a constant factor, {factor:.6}"),
        })
    }

    /// Are the right images there, in another order or orientation?
    fn explain_order(&self, got: &Array4<f32>, bound: f64) -> Option<String> {
        let n = got.dim().0;
        if n > 1 {
            let image_of = |i: usize| {
                (0..n).find(|&j| {
                    let pairs = got.index_axis(Axis(0), i);
                    let worst = pairs
                        .iter()
                        .zip(self.expected.index_axis(Axis(0), j))
                        .map(|(a, b)| (a - b).abs());
                    f64::from(worst.fold(0.0, f32::max)) <= bound
                })
            };
            let order: Option<Vec<usize>> = (0..n).map(image_of).collect();
            if let Some(order) = order {
                return Some(format!(
                    "the images of the batch are mixed up: image 0, 1, ... of the result is image {order:?} of the \
                     right one"
                ));
            }
        }
        let swaps = [
            ("height and width", [0, 1, 3, 2]),
            ("channels and height", [0, 2, 1, 3]),
        ];
        for (axes, order) in swaps {
            let turned = self.expected.clone().permuted_axes(order);
            if turned.dim() == got.dim() && distance(got, &turned) <= bound {
                return Some(format!("{axes} are swapped"));
            }
        }
        None
    }

    /// Is it a sum of the right terms with wrong coefficients?
    fn explain_terms(&self, got: &Array4<f32>) -> Option<String> {
        if self.terms.is_empty() {
            return None;
        }
        let arrays: Vec<&Array4<f32>> = self.terms.iter().map(|(_, a, _)| *a).collect();
        let coefficients = fit(&arrays, got)?;
        let mut fitted = Array4::<f32>::zeros(got.dim());
        for (array, c) in arrays.iter().zip(&coefficients) {
            fitted.scaled_add(*c as f32, array);
        }
        if distance(got, &fitted) > 10.0 * self.tolerance * scale(got).max(scale(self.expected)) {
            return None;
        }
        let mut causes = Vec::new();
        for ((name, array, right), has) in self.terms.iter().zip(&coefficients) {
            let weight = scale(array);
            let negligible = 20.0 * self.tolerance * scale(got) / weight;
            if (has - right).abs() <= negligible {
                continue;
            }
            causes.push(if has.abs() <= negligible {
                format!("the term with {name} is missing (its coefficient should be {right:.6})")
            } else if (has + right).abs() <= negligible {
                format!("the term with {name} has the wrong sign")
            } else {
                let known = |c: f64| name_of(c, &self.quantities, 20.0 * self.tolerance);
                let name_of_ratio = known(has / right);
                let mut text = format!("{name} is multiplied by {has:.6}");
                if let Some(k) = known(*has) {
                    let _ = write!(text, " (which is {k})");
                }
                let _ = write!(text, ", it should be by {right:.6}");
                if let Some(r) = name_of_ratio {
                    let _ = write!(text, ": that is off by a factor of {r}");
                }
                text
            });
        }
        if causes.is_empty() {
            return None;
        }
        Some(causes.join("; "))
    }

    /// Is it the right result plus a constant?
    fn explain_offset(&self, got: &Array4<f32>, bound: f64) -> Option<String> {
        let mean = |a: &Array4<f32>| a.iter().map(|v| f64::from(*v)).sum::<f64>() / a.len() as f64;
        let offset = mean(got) - mean(self.expected);
        let shifted = self.expected.mapv(|v| (f64::from(v) + offset) as f32);
        (distance(got, &shifted) <= bound * 2.0).then(|| format!("a constant, {offset:.6}, is added to every value"))
    }

    /// Is only a part of it wrong?
    fn explain_part(&self, got: &Array4<f32>, bound: f64) -> Option<String> {
        for (axis, name) in [(0, "images"), (1, "channels")] {
            let n = got.shape()[axis];
            let is_wrong = |i: &usize| {
                let pairs = got.index_axis(Axis(axis), *i);
                pairs
                    .iter()
                    .zip(self.expected.index_axis(Axis(axis), *i))
                    .any(|(a, b)| f64::from((a - b).abs()) > bound)
            };
            let wrong: Vec<usize> = (0..n).filter(is_wrong).collect();
            if wrong.len() < n {
                return Some(format!("only the {name} {wrong:?} of {n} are wrong"));
            }
        }
        None
    }

    fn message(&self, cause: &str, got: Option<&Array4<f32>>) -> String {
        let mut text = format!("{} is not right.\n  What is wrong: {cause}.", self.what);
        if cause.ends_with(['.', '?', '!', ')']) {
            text.pop();
        }
        if let Some(formula) = &self.formula {
            let _ = write!(text, "\n  The formula:   {formula}");
        }
        if let Some(got) = got {
            let (mut worst, mut at) = (-1.0, (0, 0, 0, 0));
            for (index, v) in got.indexed_iter() {
                let error = (v - self.expected[index]).abs();
                if error > worst {
                    (worst, at) = (error, index);
                }
            }
            let _ = write!(
                text,
                "\n  Largest error: {worst:.3e} at [b, c, h, w] = [{}, {}, {}, {}]: expected {:.6}, got {:.6}",
                at.0, at.1, at.2, at.3, self.expected[at], got[at]
            );
        }
        text
    }
}

fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The largest difference.
fn distance(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter()
        .zip(b)
        .fold(0.0, |worst, (a, b)| (f64::from(*a) - f64::from(*b)).abs().max(worst))
}

/// The largest absolute value, or a tiny number if all are zero.
fn scale(a: &Array4<f32>) -> f64 {
    a.iter().fold(f64::MIN_POSITIVE, |m, v| f64::from(v.abs()).max(m))
}

/// The coefficients of `arrays` whose sum is nearest to `target`.
fn fit(arrays: &[&Array4<f32>], target: &Array4<f32>) -> Option<Vec<f64>> {
    let n = arrays.len();
    if arrays.iter().any(|a| a.dim() != target.dim()) {
        return None;
    }
    // Normal equations, solved by elimination with pivoting: there are two or three terms.
    let mut rows: Vec<Vec<f64>> = arrays
        .iter()
        .map(|a| arrays.iter().map(|b| dot(a, b)).chain([dot(a, target)]).collect())
        .collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs()))?;
        rows.swap(i, pivot);
        if rows[i][i].abs() < 1e-12 {
            return None;
        }
        let pivot_row = rows[i].clone();
        for (j, row) in rows.iter_mut().enumerate() {
            if j != i {
                let factor = row[i] / pivot_row[i];
                row.iter_mut().zip(&pivot_row).for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    Some((0..n).map(|i| rows[i][n] / rows[i][i]).collect())
}

/// The simplest expression in the known quantities that has this value.
fn name_of(value: f64, quantities: &[(String, f64)], tolerance: f64) -> Option<String> {
    let sign = if value < 0.0 { "-" } else { "" };
    let is = |candidate: f64| (candidate / value.abs() - 1.0).abs() <= tolerance;
    for simple in [1.0, 2.0, 3.0, 4.0] {
        if is(simple) {
            return Some(format!("{sign}{simple}"));
        }
        if is(1.0 / simple) {
            return Some(format!("{sign}1/{simple}"));
        }
    }
    let wrap = |name: &str| {
        if name.contains(' ') {
            format!("({name})")
        } else {
            name.to_string()
        }
    };
    let powers: Vec<(String, f64)> = quantities
        .iter()
        .flat_map(|(name, q)| {
            let (name, bare) = (wrap(name), name);
            [
                (name.clone(), *q),
                (format!("sqrt({bare})"), q.sqrt()),
                (format!("{name}^2"), q * q),
            ]
        })
        .collect();
    for (name, q) in &powers {
        if is(*q) {
            return Some(format!("{sign}{name}"));
        }
        if is(1.0 / q) {
            return Some(format!("{sign}1 / {name}"));
        }
    }
    for (a, p) in &powers {
        for (b, q) in &powers {
            if is(p / q) {
                return Some(format!("{sign}{a} / {b}"));
            }
            if is(p * q) {
                return Some(format!("{sign}{a} {b}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without structure.
    fn noise(seed: u32) -> Array4<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        Array4::from_shape_fn((3, 2, 4, 4), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
    }

    fn mix(a: f32, x: &Array4<f32>, b: f32, y: &Array4<f32>) -> Array4<f32> {
        x * a + y * b
    }

    /// The message for `got`, where 0.6 x + 0.8 y would be right (alpha = 0.36).
    fn verdict(got: &Array4<f32>) -> String {
        let (x, y) = (noise(1), noise(2));
        let expected = mix(0.6, &x, 0.8, &y);
        Check::new("mix(x, y)", &expected)
            .formula("sqrt(alpha) x + sqrt(1 - alpha) y")
            .quantity("alpha", 0.36)
            .quantity("1 - alpha", 0.64)
            .term("x", &x, 0.6)
            .term("y", &y, 0.8)
            .suspect(&mix(0.8, &x, 0.6, &y), "x and y have changed places")
            .diagnose(got)
            .err()
            .unwrap_or_default()
    }

    #[track_caller]
    fn says(got: &Array4<f32>, sentence: &str) {
        let verdict = verdict(got);
        assert!(
            verdict.contains(sentence),
            "expected a message with `{sentence}`, got:\n{verdict}"
        );
    }

    #[test]
    fn right_is_right() {
        let (x, y) = (noise(1), noise(2));
        assert_eq!(verdict(&mix(0.6, &x, 0.8, &y)), "");
        assert_eq!(verdict(&mix(0.6 + 1e-7, &x, 0.8, &y)), "");
    }

    #[test]
    fn names_the_cause() {
        let (x, y) = (noise(1), noise(2));
        let right = mix(0.6, &x, 0.8, &y);
        says(&mix(0.8, &x, 0.6, &y), "changed places");
        says(&(&right * 0.6), "off by a factor of sqrt(alpha)");
        says(&(&right / 0.64), "off by a factor of 1 / (1 - alpha)");
        says(&(&right * -1.0), "sign is flipped");
        says(&(&right * 2.0), "off by a factor of 2");
        says(&(&right * 0.777), "off by a constant factor, 0.777");
        says(
            &mix(0.36, &x, 0.8, &y),
            "x is multiplied by 0.360000 (which is alpha), it should be by 0.600000",
        );
        says(
            &mix(0.6, &x, 0.64, &y),
            "y is multiplied by 0.640000 (which is (1 - alpha))",
        );
        says(&mix(0.6, &x, -0.8, &y), "the term with y has the wrong sign");
        says(&mix(0.6, &x, 0.0, &y), "the term with y is missing");
        says(&Array4::zeros(x.dim()), "all zeros");
        says(&(&right + 0.5), "a constant, 0.5");
        says(
            &right.clone().permuted_axes([0, 1, 3, 2]),
            "height and width are swapped",
        );
        says(&Array4::zeros((3, 4, 2, 4)), "axes are in another order");
        says(&Array4::zeros((1, 2, 4, 4)), "its shape is [1, 2, 4, 4]");
    }

    #[test]
    fn parts_and_order() {
        let right = mix(0.6, &noise(1), 0.8, &noise(2));
        let mut got = right.clone();
        got.invert_axis(Axis(0));
        says(&got, "mixed up: image 0, 1, ... of the result is image [2, 1, 0]");
        let mut got = right.clone();
        got.index_axis_mut(Axis(0), 1).mapv_inplace(|v| v * v);
        says(&got, "only the images [1] of 3");
        let mut got = right.clone();
        got[[0, 0, 0, 0]] = f32::NAN;
        says(&got, "1 of 96 values are NaN");
        says(&right.mapv(f32::sin), "it differs from the formula");
    }

    #[test]
    #[should_panic(expected = "unchanged")]
    fn the_short_form_panics() {
        let x = noise(1);
        expect_close(
            "double(x)",
            &x,
            &(&x * 2.0),
            1e-5,
            &[(x.clone(), "x came back unchanged")],
        );
    }
}
