//! A result that should be a sum of known terms, each with a coefficient that has a name.

use ndarray::Array4;

use crate::case::{Case, Unit, values_of};
use crate::fault::Fault;
use crate::monomial::Monomial;
use crate::quantity::Quantity;
use crate::search::{explain, named};

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
            return Err(explain(&part.with_norms()).fact(of_broken.hint()));
        }
        if self.is_right() {
            return Ok(());
        }
        Err(explain(&self.with_norms()))
    }

    /// The same, whose coefficients may hold the norm of the result, as where that is scaled to length 1.
    fn with_norms(&self) -> Self {
        let mut sum = self.clone();
        if self.wording == Wording::Number {
            return sum;
        }
        for case in &mut sum.cases {
            let expected = case.expected(self);
            let square = |image: usize| values_of(&expected, image).iter().map(|v| v * v).sum::<f64>();
            let squares: Vec<f64> = (0..expected.dim().0).map(square).collect();
            let whole = squares.iter().sum::<f64>().sqrt();
            for (quantities, square) in case.quantities.iter_mut().zip(&squares) {
                quantities.push(Quantity::rare("the norm of the right result", square.sqrt()));
                quantities.push(Quantity::rare(
                    "the norm of the right result over the whole batch",
                    whole,
                ));
            }
        }
        sum
    }

    /// The fault, if all that is wrong has a name: without facts alone, and without coefficients that nothing explains.
    #[must_use]
    pub fn named_fault(&self) -> Option<Fault> {
        let is_comparable = |case: &Case| case.got.dim() == case.terms[0].dim() && case.is_finite();
        (self.cases.iter().all(is_comparable) && !self.is_right())
            .then(|| named(self))
            .flatten()
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

#[cfg(test)]
mod tests;
