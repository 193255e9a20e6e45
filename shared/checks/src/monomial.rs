//! Products of named quantities, such as `sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)`.

use std::fmt;

use crate::quantity::Quantity;

/// A product of powers of quantities, with a sign. Powers are kept in halves, so that roots are exact.
#[derive(Clone, Debug)]
pub struct Monomial {
    is_negative: bool,
    halves: Vec<(String, i32)>,
}

impl Monomial {
    /// The empty product.
    #[must_use]
    pub fn one() -> Self {
        Self {
            is_negative: false,
            halves: Vec::new(),
        }
    }

    /// A product of powers: `[("alpha_t", 0.5), ("1 - alpha_bar_t", -1.0)]` is `sqrt(alpha_t) / (1 - alpha_bar_t)`.
    /// Powers are multiples of a half.
    #[must_use]
    pub fn of(powers: &[(&str, f64)]) -> Self {
        let halves = powers
            .iter()
            .map(|(name, power)| ((*name).to_owned(), (2.0 * power).round() as i32));
        Self {
            is_negative: false,
            halves: halves.collect(),
        }
    }

    /// From powers in halves.
    pub(crate) fn of_halves(halves: Vec<(String, i32)>) -> Self {
        Self {
            is_negative: false,
            halves,
        }
    }

    /// The same with the other sign.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.is_negative = !self.is_negative;
        self
    }

    /// The same without its sign.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.is_negative = false;
        self
    }

    /// Whether it has a minus.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Whether it is 1 or -1.
    #[must_use]
    pub fn is_unit(&self) -> bool {
        self.halves.is_empty()
    }

    /// Nothing: the coefficient of a term that does not belong there. All cases need the constant `0` among their
    /// quantities.
    #[must_use]
    pub fn zero() -> Self {
        Self::of(&[("0", 1.0)])
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.halves.iter().any(|(name, _)| name == "0")
    }

    /// The product of two.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let mut product = self.clone();
        product.is_negative ^= other.is_negative;
        for (name, power) in &other.halves {
            match product.halves.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known += power,
                None => product.halves.push((name.clone(), *power)),
            }
        }
        product.halves.retain(|(_, power)| *power != 0);
        product
    }

    /// One over it.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut inverse = self.clone();
        inverse.halves.iter_mut().for_each(|(_, power)| *power = -*power);
        inverse
    }

    /// Its value, with the quantities that it names; NaN if one of them is not there.
    #[must_use]
    pub fn value(&self, quantities: &[Quantity]) -> f64 {
        let sign = if self.is_negative { -1.0 } else { 1.0 };
        self.halves.iter().fold(sign, |product, (name, power)| {
            let quantity = quantities.iter().find(|q| q.name == *name);
            let base = quantity.map_or(f64::NAN, |q| q.value);
            product
                * match power {
                    2 => base,
                    1 => base.sqrt(),
                    _ => base.powf(f64::from(*power) / 2.0),
                }
        })
    }

    /// Its value, computed of quantities that were rounded to `f32` before they were taken from 1.
    pub(crate) fn value_in_f32(&self, quantities: &[Quantity]) -> f64 {
        let round = |value: f64| f64::from(value as f32);
        let value_of = |name: &str| quantities.iter().find(|q| q.name == name).map(|q| q.value);
        let rounded = self.halves.iter().filter_map(|(name, _)| {
            let value = match name.strip_prefix("1 - ").and_then(value_of) {
                Some(base) => 1.0 - round(base),
                None => round(value_of(name)?),
            };
            Some(Quantity::plain(name.clone(), value))
        });
        self.value(&rounded.collect::<Vec<_>>())
    }

    /// The factors that are differences from 1.
    pub(crate) fn complements(&self) -> Vec<&str> {
        let names = self.halves.iter().map(|(name, _)| name.as_str());
        names.filter(|name| name.starts_with("1 - ")).collect()
    }

    /// The powers, in halves.
    pub(crate) fn halves(&self) -> &[(String, i32)] {
        &self.halves
    }

    /// How often it names a quantity or its complement.
    pub(crate) fn occurrences(&self, name: &str) -> usize {
        let complement = format!("1 - {name}");
        let is_it = |(known, _): &&(String, i32)| known == name || *known == complement;
        self.halves.iter().filter(is_it).count()
    }

    /// The same with some names, and their complements, in place of others.
    pub(crate) fn renamed(&self, renames: &[(&str, &str)]) -> Self {
        let rename = |name: &str| {
            renames.iter().find_map(|(old, new)| {
                if name == *old {
                    return Some((*new).to_owned());
                }
                (name.strip_prefix("1 - ") == Some(*old)).then(|| format!("1 - {new}"))
            })
        };
        let renamed = self
            .halves
            .iter()
            .map(|(name, power)| (rename(name).unwrap_or_else(|| name.clone()), *power));
        let product = Self::one().times(&Self::of_halves(renamed.collect()));
        if self.is_negative { product.negated() } else { product }
    }

    /// How many factors are others than in `other`; one that took the place of another counts once.
    pub(crate) fn distance(&self, other: &Self) -> usize {
        let differing = |a: &Self, b: &Self| a.halves.iter().filter(|factor| !b.halves.contains(factor)).count();
        differing(self, other).max(differing(other, self))
    }

    /// The same with its factors in the order of another; one that took the place of another stands in its place.
    pub(crate) fn in_order_of(&self, other: &Self) -> Self {
        let mut left = self.halves.clone();
        let mut ordered = Vec::new();
        for (name, power) in &other.halves {
            let same = left.iter().position(|(known, _)| known == name);
            let is_others = |known: &str| other.halves.iter().any(|(name, _)| name == known);
            let instead = || left.iter().position(|(known, p)| p == power && !is_others(known));
            if let Some(at) = same.or_else(instead) {
                ordered.push(left.remove(at));
            }
        }
        ordered.extend(left);
        // Numbers stand first: 2 sqrt(a), not sqrt(a) 2.
        ordered.sort_by_key(|(name, _)| name.parse::<f64>().is_err());
        Self {
            is_negative: self.is_negative,
            halves: ordered,
        }
    }

    /// How many factors it has.
    pub(crate) fn len(&self) -> usize {
        self.halves.len()
    }

    /// `multiplied by X` or `divided by X`.
    #[must_use]
    pub fn as_action(&self) -> String {
        if !self.is_negative && !self.is_unit() && self.halves.iter().all(|(_, power)| *power < 0) {
            return format!("divided by {}", self.inverse());
        }
        format!("multiplied by {self}")
    }
}

impl PartialEq for Monomial {
    fn eq(&self, other: &Self) -> bool {
        self.is_negative == other.is_negative && self.distance(other) == 0
    }
}

impl fmt::Display for Monomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |above: bool| -> Vec<String> {
            let of_side = self.halves.iter().filter(|(_, power)| (*power > 0) == above);
            let alone = self.halves.iter().filter(|(_, power)| (*power > 0) == above).count() == 1
                && self.halves.len() == 1
                && above
                && !self.is_negative;
            of_side.map(|(name, power)| factor(name, power.abs(), alone)).collect()
        };
        let (above, below) = (side(true), side(false));
        let sign = if self.is_negative { "-" } else { "" };
        let above = if above.is_empty() {
            "1".to_owned()
        } else {
            above.join(" ")
        };
        match below.as_slice() {
            [] => write!(f, "{sign}{above}"),
            [one] => write!(f, "{sign}{above} / {one}"),
            more => write!(f, "{sign}{above} / ({})", more.join(" ")),
        }
    }
}

/// One factor; `alone` if nothing stands beside it that it could be confused with.
fn factor(name: &str, halves: i32, alone: bool) -> String {
    let is_compound = name.contains(' ') && !name.starts_with("||");
    let wrapped = if is_compound && !(alone && halves == 2) {
        format!("({name})")
    } else {
        name.to_owned()
    };
    match halves {
        1 => format!("sqrt({name})"),
        2 => wrapped,
        even if even % 2 == 0 => format!("{wrapped}^{}", even / 2),
        odd => format!("{wrapped}^({odd}/2)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_they_are_written() {
        let weight = Monomial::of(&[("alpha", 0.5), ("1 - prev", 1.0), ("1 - bar", -1.0)]);
        assert_eq!(weight.to_string(), "sqrt(alpha) (1 - prev) / (1 - bar)");
        assert_eq!(Monomial::of(&[("1 - bar", 1.0)]).to_string(), "1 - bar");
        assert_eq!(Monomial::of(&[("1 - bar", 1.0)]).negated().to_string(), "-(1 - bar)");
        assert_eq!(Monomial::of(&[("bar", -0.5)]).to_string(), "1 / sqrt(bar)");
        assert_eq!(Monomial::of(&[("bar", -0.5)]).as_action(), "divided by sqrt(bar)");
        assert_eq!(
            Monomial::of(&[("z", 1.0), ("2", -1.0), ("n", -1.0)]).to_string(),
            "z / (2 n)"
        );
        assert_eq!(Monomial::of(&[("s", 2.0)]).to_string(), "s^2");
    }

    #[test]
    fn values_and_products() {
        let quantities = [Quantity::plain("a", 0.25), Quantity::plain("1 - a", 0.75)];
        let root = Monomial::of(&[("a", 0.5)]);
        assert_eq!(root.value(&quantities), 0.5);
        assert_eq!(root.times(&root).value(&quantities), 0.25);
        assert_eq!(root.times(&root.inverse()), Monomial::one());
        assert_eq!(root.clone().negated().value(&quantities), -0.5);
        assert!(Monomial::of(&[("b", 1.0)]).value(&quantities).is_nan());
        let both = Monomial::of(&[("a", 0.5), ("1 - a", 1.0)]);
        assert_eq!(both.renamed(&[("a", "b")]), Monomial::of(&[("b", 0.5), ("1 - b", 1.0)]));
        assert_eq!(both.occurrences("a"), 2);
    }
}
