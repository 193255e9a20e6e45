//! A result that should be a sum of known terms, each with a coefficient that has a name.

use ndarray::{Array4, Axis};

use crate::fault::Fault;
use crate::monomial::{Monomial, Quantity};
use crate::search::explain;

/// Rounding of `f32`, over the size of what is added up; an order of magnitude above what a formula of some ten
/// operations makes.
pub(crate) const TOLERANCE: f64 = 1e-5;

/// How the messages speak of a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Of an array that is multiplied: "the score is multiplied by X; it should be multiplied by Y".
    Factor,
    /// Of a number, which is nothing but its coefficient: "gamma_t is X; it should be Y".
    Number,
}

/// A term of a sum.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub name: String,
    pub right: Monomial,
    pub is_bracketed: bool,
}

/// What a result should be.
#[derive(Clone, Debug)]
pub struct Sum {
    pub(crate) what: String,
    pub(crate) formula: String,
    pub(crate) wording: Wording,
    pub(crate) bracket: Monomial,
    pub(crate) terms: Vec<Term>,
    pub(crate) remarks: Vec<(String, String)>,
    pub(crate) unchanged: Option<String>,
    pub(crate) alternatives: Vec<(String, Vec<(String, String)>)>,
    pub(crate) cases: Vec<Case>,
}

/// One call of the function under examination: what it was fed, and what came.
#[derive(Clone, Debug)]
pub struct Case {
    pub(crate) name: String,
    pub(crate) tags: Vec<&'static str>,
    /// Of each image.
    pub(crate) quantities: Vec<Vec<Quantity>>,
    pub(crate) terms: Vec<Array4<f32>>,
    pub(crate) others: Vec<Other>,
    pub(crate) got: Array4<f32>,
}

/// An array that may stand in the place of a term.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub because: String,
    /// Terms, and what stands in their places.
    pub arrays: Vec<(usize, Array4<f32>)>,
}

impl Sum {
    /// - `what`: the function's name
    /// - `formula`: the right one, as the docs have it
    #[must_use]
    pub fn new(what: impl Into<String>, formula: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            formula: formula.into(),
            wording: Wording::Factor,
            bracket: Monomial::one(),
            terms: Vec::new(),
            remarks: Vec::new(),
            unchanged: None,
            alternatives: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// A number for each image: its only term is an array of ones.
    #[must_use]
    pub fn number(what: impl Into<String>, formula: impl Into<String>, name: &str, right: Monomial) -> Self {
        Self {
            wording: Wording::Number,
            ..Self::new(what, formula).term(name, right)
        }
    }

    /// The factor in front of a bracket around some of the terms.
    #[must_use]
    pub fn bracket(mut self, factor: Monomial) -> Self {
        self.bracket = factor;
        self
    }

    /// A term in the bracket, with its coefficient there.
    #[must_use]
    pub fn bracketed(mut self, name: impl Into<String>, inner: Monomial) -> Self {
        self.terms.push(Term {
            name: name.into(),
            right: self.bracket.times(&inner),
            is_bracketed: true,
        });
        self
    }

    /// A term outside of the bracket, with its coefficient.
    #[must_use]
    pub fn term(mut self, name: impl Into<String>, coefficient: Monomial) -> Self {
        self.terms.push(Term {
            name: name.into(),
            right: coefficient,
            is_bracketed: false,
        });
        self
    }

    /// What to say if the result is always the first term, as it was.
    #[must_use]
    pub fn unchanged(mut self, words: impl Into<String>) -> Self {
        self.unchanged = Some(words.into());
        self
    }

    /// What to add where a coefficient turns out to hold this quantity.
    #[must_use]
    pub fn remark(mut self, quantity: impl Into<String>, remark: impl Into<String>) -> Self {
        self.remarks.push((quantity.into(), remark.into()));
        self
    }

    /// Other quantities that may stand, all of them, in the place of the right ones, and the sentence that is true if
    /// they do.
    #[must_use]
    pub fn alternative(mut self, because: impl Into<String>, renames: Vec<(String, String)>) -> Self {
        self.alternatives.push((because.into(), renames));
        self
    }

    /// The right result of a call.
    #[must_use]
    pub fn expected(&self, case: &Case) -> Array4<f32> {
        case.expected(self)
    }

    /// One more call.
    pub fn add(&mut self, case: Case) {
        self.cases.push(case);
    }

    /// The first thing that is wrong.
    ///
    /// # Errors
    ///
    /// The fault.
    pub fn verdict(&self) -> Result<(), Fault> {
        for case in &self.cases {
            self.check_shape(case)?;
        }
        // A mistake may divide by zero at an end of time: elsewhere it has a name.
        let (finite, broken): (Vec<&Case>, Vec<&Case>) = self.cases.iter().partition(|case| case.is_finite());
        let part = Self {
            cases: finite.into_iter().cloned().collect(),
            ..self.clone()
        };
        if let Some(case) = broken.first() {
            let of_broken = self.not_finite(case);
            if part.cases.is_empty() || part.is_right() {
                return Err(of_broken);
            }
            return Err(explain(&part).fact(of_broken.hint()));
        }
        if self.is_right() { Ok(()) } else { Err(explain(self)) }
    }

    fn is_right(&self) -> bool {
        self.units().all(|unit| unit.is_right(self))
    }

    fn check_shape(&self, case: &Case) -> Result<(), Fault> {
        let (got, expected) = (case.got.shape(), case.terms[0].shape());
        if got == expected {
            return Ok(());
        }
        let mut sorted = [got.to_vec(), expected.to_vec()];
        sorted.iter_mut().for_each(|shape| shape.sort_unstable());
        let axes = if sorted[0] == sorted[1] {
            ", with the axes in another order"
        } else {
            ""
        };
        Err(Fault::new(format!(
            "{} returned the shape {got:?}, expected {expected:?}{axes}",
            self.what
        ))
        .fact(format!("fed: {}", case.name)))
    }

    fn not_finite(&self, case: &Case) -> Fault {
        let bad = case.got.iter().filter(|value| !value.is_finite()).count();
        let nan = case.got.iter().filter(|value| value.is_nan()).count();
        let kind = match (nan, bad - nan) {
            (_, 0) => "NaN",
            (0, _) => "infinite",
            _ => "NaN or infinite",
        };
        let fault = Fault::new(format!(
            "{}: {bad} of {} values are {kind}, though it was fed finite numbers, in {}",
            self.what,
            case.got.len(),
            case.name
        ));
        let fault = if nan > 0 {
            fault.fact("the root of a negative number is NaN, and so is 0 / 0")
        } else {
            fault
        };
        fault.fact(format!("formula: {}", self.formula))
    }

    /// The images of all calls, one by one.
    pub(crate) fn units(&self) -> impl Iterator<Item = Unit<'_>> {
        self.cases
            .iter()
            .flat_map(|case| (0..case.got.dim().0).map(move |image| Unit { case, image }))
    }
}

impl Case {
    /// - `name`: what was fed, for messages
    /// - `quantities`: what coefficients may be made of, the same names in all cases
    /// - `terms`: the arrays of the sum's terms, in their order; `[B, C, H, W]` as `got`
    #[must_use]
    pub fn new(name: impl Into<String>, quantities: Vec<Quantity>, terms: Vec<Array4<f32>>, got: Array4<f32>) -> Self {
        let (images, c, h, w) = terms.first().map_or((0, 0, 0, 0), |term| term.dim());
        let mut quantities = quantities;
        // What a mean divides by.
        if c * h * w > 1 {
            quantities.push(Quantity::rare("the number of images", images as f64));
            quantities.push(Quantity::rare("the number of values of an image", (c * h * w) as f64));
            let all = (images * c * h * w) as f64;
            quantities.push(Quantity::rare("the number of values of the batch", all));
        }
        Self {
            name: name.into(),
            tags: Vec::new(),
            quantities: vec![quantities; images],
            terms,
            others: Vec::new(),
            got,
        }
    }

    /// The same with words for where or when it is: "at the last step". They are said if the calls that are wrong are
    /// those that have them.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tags.push(tag);
        self
    }

    /// The same with quantities that every image has for itself: a value for each.
    #[must_use]
    pub fn of_each_image(mut self, name: &str, values: &[f64]) -> Self {
        for (quantities, value) in self.quantities.iter_mut().zip(values) {
            quantities.push(Quantity::plain(name, *value));
        }
        self
    }

    /// The same with rare quantities that every image has for itself.
    #[must_use]
    pub fn rare_of_each_image(mut self, name: &str, values: &[f64]) -> Self {
        for (quantities, value) in self.quantities.iter_mut().zip(values) {
            quantities.push(Quantity::rare(name, *value));
        }
        self
    }

    fn is_finite(&self) -> bool {
        self.got.iter().all(|value| value.is_finite())
    }

    /// An array that may stand in the place of a term, and the sentence that is true if it does. All cases of a sum have
    /// the same of them in the same order.
    #[must_use]
    pub fn other(self, term: usize, array: Array4<f32>, because: impl Into<String>) -> Self {
        self.others(vec![(term, array)], because)
    }

    /// The same for several terms, which one mistake changes all at once.
    #[must_use]
    pub fn others(mut self, arrays: Vec<(usize, Array4<f32>)>, because: impl Into<String>) -> Self {
        self.others.push(Other {
            because: because.into(),
            arrays,
        });
        self
    }
}

/// One image of one call.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'a> {
    pub case: &'a Case,
    pub image: usize,
}

impl<'a> Unit<'a> {
    pub fn quantities(&self) -> &'a [Quantity] {
        &self.case.quantities[self.image]
    }

    /// The right coefficients.
    pub fn right(&self, sum: &Sum) -> Vec<f64> {
        sum.terms
            .iter()
            .map(|term| term.right.value(self.quantities()))
            .collect()
    }

    pub fn got(&self) -> Vec<f64> {
        values_of(&self.case.got, self.image)
    }

    /// Whether it is right to rounding.
    pub fn is_right(&self, sum: &Sum) -> bool {
        let columns: Vec<Vec<f64>> = self.case.terms.iter().map(|term| values_of(term, self.image)).collect();
        let (right, got) = (self.right(sum), self.got());
        let (mut worst, mut size) = (0.0f64, 1e-30f64);
        for (at, got) in got.iter().enumerate() {
            let parts = right.iter().zip(&columns).map(|(c, column)| c * column[at]);
            worst = worst.max((got - parts.clone().sum::<f64>()).abs());
            size = size.max(parts.map(f64::abs).sum());
        }
        worst <= TOLERANCE * size
    }
}

/// The numbers of one image.
pub(crate) fn values_of(array: &Array4<f32>, image: usize) -> Vec<f64> {
    array
        .index_axis(Axis(0), image)
        .iter()
        .map(|value| f64::from(*value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without structure.
    fn noise(shape: (usize, usize, usize, usize), seed: u32) -> Array4<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        Array4::from_shape_fn(shape, |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 1.7
        })
    }

    /// `a`, `bar` and `prev` of a few steps.
    const STEPS: [[f64; 3]; 4] = [
        [0.9, 0.5, 0.55],
        [0.4, 0.1, 0.25],
        [0.7, 0.3, 0.42],
        [0.55, 0.02, 0.036],
    ];

    type Student = fn(&Array4<f32>, &Array4<f32>, &Array4<f32>, [f64; 3]) -> Array4<f32>;

    /// What is said of a function that should be `(x + (1 - a) s) / sqrt(a) + sqrt(1 - prev) z`.
    fn verdict(student: Student) -> String {
        let mut sum = Sum::new("step", "(x + (1 - a) s) / sqrt(a) + sqrt(1 - prev) z")
            .bracket(Monomial::of(&[("a", -0.5)]))
            .bracketed("x", Monomial::one())
            .bracketed("the score", Monomial::of(&[("1 - a", 1.0)]))
            .term("z", Monomial::of(&[("1 - prev", 0.5)]));
        for (seed, step) in STEPS.into_iter().enumerate() {
            let shape = [(3, 2, 4, 5), (1, 1, 5, 4), (2, 3, 4, 4), (3, 2, 6, 4)][seed];
            let [x, s, z] = [1, 2, 3].map(|k| noise(shape, 10 * seed as u32 + k));
            let [a, bar, prev] = step;
            let quantities = [("a", a), ("bar", bar), ("prev", prev)]
                .into_iter()
                .flat_map(|(name, v)| {
                    [
                        Quantity::plain(name, v),
                        Quantity::plain(format!("1 - {name}"), 1.0 - v),
                    ]
                })
                .chain([Quantity::constant("2", 2.0)])
                .collect();
            let got = student(&x, &s, &z, step);
            sum.add(Case::new(format!("step {seed}"), quantities, vec![x, s, z], got));
        }
        sum.verdict()
            .err()
            .map_or_else(String::new, |fault| fault.hint().to_owned())
    }

    fn mix(x: &Array4<f32>, p: f64, s: &Array4<f32>, q: f64, z: &Array4<f32>, r: f64) -> Array4<f32> {
        x * p as f32 + s * q as f32 + z * r as f32
    }

    #[track_caller]
    fn says(student: Student, sentence: &str) {
        let verdict = verdict(student);
        assert!(verdict.contains(sentence), "expected `{sentence}` in\n{verdict}");
    }

    #[test]
    fn right_is_right() {
        assert_eq!(
            verdict(|x, s, z, [a, _, prev]| {
                let right = |x: f32, s: f32, z: f32| {
                    (x - (a as f32 - 1.0) * s) / a.sqrt() as f32 + z * (1.0 - prev).sqrt() as f32
                };
                let mut out = x.clone();
                ndarray::Zip::from(&mut out)
                    .and(s)
                    .and(z)
                    .for_each(|x, s, z| *x = right(*x, *s, *z));
                out.reversed_axes().as_standard_layout().to_owned().reversed_axes()
            }),
            ""
        );
    }

    #[test]
    fn one_coefficient_is_named() {
        says(
            |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a).sqrt() / a.sqrt(), z, (1.0 - p).sqrt()),
            "the score is multiplied by sqrt(1 - a) in the bracket; it should be multiplied by 1 - a",
        );
        says(
            |x, s, z, [a, b, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - b) / a.sqrt(), z, (1.0 - p).sqrt()),
            "the score is multiplied by 1 - bar in the bracket; it should be multiplied by 1 - a",
        );
        says(
            |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, -(1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt()),
            "the score has the wrong sign: it is subtracted",
        );
        says(
            |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, 1.0 - a, z, (1.0 - p).sqrt()),
            "the score is multiplied by 1 - a; it should be multiplied by (1 - a) / sqrt(a)",
        );
        says(
            |x, s, z, [a, _, _]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, 0.0),
            "the term with z is missing",
        );
        says(
            |x, s, z, [a, b, p]| {
                mix(
                    x,
                    1.0 / a.sqrt(),
                    s,
                    (1.0 - a) / a.sqrt(),
                    z,
                    ((1.0 - a) * (1.0 - p) / (1.0 - b)).sqrt(),
                )
            },
            "z is multiplied by sqrt(1 - prev) sqrt(1 - a) / sqrt(1 - bar); it should be multiplied by sqrt(1 - prev)",
        );
    }

    #[test]
    fn the_bracket_is_one_mistake() {
        says(
            |x, s, z, [a, _, p]| mix(x, 1.0 / a, s, (1.0 - a) / a, z, (1.0 - p).sqrt()),
            "the bracket is divided by a; it should be divided by sqrt(a)",
        );
        says(
            |x, s, z, [a, _, p]| mix(x, 1.0, s, 1.0 - a, z, (1.0 - p).sqrt()),
            "the bracket is not divided by sqrt(a)",
        );
        says(
            |x, s, z, [_, b, p]| mix(x, 1.0 / b.sqrt(), s, (1.0 - b) / b.sqrt(), z, (1.0 - p).sqrt()),
            "bar stands everywhere where a belongs",
        );
    }

    #[test]
    fn two_mistakes_are_found_one_after_the_other() {
        let both = verdict(|x, s, z, [a, b, p]| mix(x, 1.0 / a, s, -(1.0 - b) / a, z, 2.0 * (1.0 - p).sqrt()));
        for part in [
            "the bracket is divided by a;",
            "the score is multiplied by -(1 - bar) in the bracket",
            "z is multiplied by 2 sqrt(1 - prev)",
        ] {
            assert!(both.contains(part), "{part}: {both}");
        }
    }

    #[test]
    fn other_arrays_are_recognised() {
        says(
            |x, s, z, [a, _, p]| {
                let z = z.slice(ndarray::s![..1, .., .., ..]);
                (x + s * (1.0 - a) as f32) / a.sqrt() as f32 + &z * (1.0 - p).sqrt() as f32
            },
            "all images take the z of the first image of the batch",
        );
        says(
            |x, s, z, [a, _, p]| {
                mix(
                    &x.mapv(|v| v.clamp(-1.0, 1.0)),
                    1.0 / a.sqrt(),
                    s,
                    (1.0 - a).sqrt() / a.sqrt(),
                    z,
                    (1.0 - p).sqrt(),
                )
            },
            "the x is clamped to [-1, 1]; and the score is multiplied by sqrt(1 - a)",
        );
        says(
            |x, s, z, [a, _, p]| {
                mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt()).mapv(|v| v.clamp(-1.0, 1.0))
            },
            "clamped to [-1, 1]",
        );
        says(|x, _, _, _| x.clone(), "x came back unchanged");
        says(
            |x, s, z, [a, _, p]| {
                mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt())
                    .slice_move(ndarray::s![..;-1, .., .., ..])
            },
            "images of the batch come back in the reverse order",
        );
    }

    #[test]
    fn what_cannot_be_named_is_told_in_facts() {
        let said = verdict(|x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a).sin(), z, (1.0 - p).sqrt()));
        assert!(said.contains("no product of the known quantities"), "{said}");
        let said = verdict(|x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, 1.0, z, (1.0 - p).sqrt()).mapv(f32::sin));
        assert!(said.contains("no sum of its terms"), "{said}");
        says(|x, _, _, _| x / 0.0, "values are infinite");
        says(|x, _, _, _| x.clone().reversed_axes(), "with the axes in another order");
    }
}
