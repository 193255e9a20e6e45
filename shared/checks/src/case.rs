//! One call of a function: what it was fed, what came, and what may stand in a term's place.

use ndarray::{Array4, Axis};

use crate::quantity::Quantity;
use crate::sum::{Sum, TOLERANCE};

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

    pub(crate) fn is_finite(&self) -> bool {
        self.got.iter().all(|value| value.is_finite())
    }

    /// An array that may stand in the place of a term, and the sentence that is true if it does. All cases of a sum
    /// have
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
