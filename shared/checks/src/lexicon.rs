//! Finds the formula behind numbers: which product of known quantities has these values?

use crate::monomial::Monomial;
use crate::quantity::{Kind, Quantity};

/// So many cases go into the table; the others confirm what it finds.
const TABLE_CASES: usize = 8;
/// Fewer different cases than this prove no name.
pub(crate) const LEAST_CASES: usize = 3;
/// Powers of one factor of many, in halves.
const POWERS: [i32; 4] = [-2, -1, 1, 2];
/// Powers of a factor that stands alone, or beside one other.
const HIGHER_POWERS: [i32; 4] = [-4, -3, 3, 4];

/// All products of at most three quantities, by their values in several cases.
pub struct Lexicon {
    names: Vec<(String, Kind)>,
    /// The quantities' values, case by case.
    cases: Vec<Vec<f64>>,
    /// The cases that the table is made for.
    chosen: Vec<usize>,
    /// Sorted by the logarithm of the value in the first of the chosen cases.
    table: Vec<Entry>,
    /// Powers of the constants, and their logarithms.
    constants: Vec<(Vec<(usize, i32)>, f64)>,
}

struct Entry {
    factors: [(u16, i8); 3],
    logs: [f64; TABLE_CASES],
}

/// Numbers to be explained: a value for each case, none where it is not known well enough, and how far off it may be.
pub struct Target<'a> {
    /// The values.
    pub values: &'a [f64],
    /// Absolute errors.
    pub errors: &'a [f64],
}

impl Lexicon {
    /// The products of these quantities; all cases have the same names in the same order.
    #[must_use]
    pub fn new(cases: &[&[Quantity]]) -> Self {
        let names: Vec<(String, Kind)> = cases.first().map_or_else(Vec::new, |first| {
            first.iter().map(|q| (q.name.clone(), q.kind)).collect()
        });
        let cases: Vec<Vec<f64>> = cases
            .iter()
            .map(|case| case.iter().map(|q| q.value).collect())
            .collect();
        let mut lexicon = Self {
            chosen: choose(&names, &cases),
            names,
            cases,
            table: Vec::new(),
            constants: Vec::new(),
        };
        lexicon.constants = lexicon.powers_of_constants();
        lexicon.table = lexicon.products();
        lexicon
    }

    fn indices(&self, kind: Kind) -> Vec<usize> {
        let usable = |i: &usize| self.chosen.iter().all(|&case| is_usable(self.cases[case][*i]));
        let of_kind = (0..self.names.len()).filter(|&i| self.names[i].1 == kind);
        of_kind.filter(usable).collect()
    }

    fn powers_of_constants(&self) -> Vec<(Vec<(usize, i32)>, f64)> {
        let mut found = vec![(Vec::new(), 0.0)];
        let Some(&first) = self.chosen.first() else {
            return found;
        };
        for i in self.indices(Kind::Constant) {
            for power in [-2, 2, -1, 1, -4, 4] {
                let log = self.cases[first][i].ln() * f64::from(power) / 2.0;
                found.push((vec![(i, power)], log));
            }
        }
        found
    }

    fn products(&self) -> Vec<Entry> {
        let (plain, rare) = (self.indices(Kind::Plain), self.indices(Kind::Rare));
        let all: Vec<usize> = plain.iter().chain(&rare).copied().collect();
        let is_rare = |at: usize| at >= plain.len();
        let mut table = vec![self.entry(&[])];
        for a in 0..all.len() {
            for p in POWERS.into_iter().chain(HIGHER_POWERS) {
                table.push(self.entry(&[(all[a], p)]));
            }
            for b in a + 1..all.len() {
                if is_rare(a) {
                    continue;
                }
                for (p, q) in pairs() {
                    table.push(self.entry(&[(all[a], p), (all[b], q)]));
                }
                for c in b + 1..all.len() {
                    if is_rare(b) {
                        continue;
                    }
                    for (p, q) in POWERS.into_iter().flat_map(|p| POWERS.map(|q| (p, q))) {
                        for r in POWERS {
                            table.push(self.entry(&[(all[a], p), (all[b], q), (all[c], r)]));
                        }
                    }
                }
            }
        }
        table.sort_unstable_by(|a, b| a.logs[0].total_cmp(&b.logs[0]));
        table
    }

    fn entry(&self, product: &[(usize, i32)]) -> Entry {
        let mut factors = [(0, 0); 3];
        for (slot, &(name, power)) in factors.iter_mut().zip(product) {
            *slot = (name as u16, power as i8);
        }
        let mut logs = [0.0; TABLE_CASES];
        for (log, &case) in logs.iter_mut().zip(&self.chosen) {
            *log = product
                .iter()
                .map(|&(name, power)| self.cases[case][name].ln() * f64::from(power) / 2.0)
                .sum();
        }
        Entry { factors, logs }
    }

    /// The product that has these values in all cases: the shortest, and of those the one most like `right`, the
    /// product
    /// that it should have been.
    #[must_use]
    pub fn name_of(&self, target: &Target<'_>, right: &Monomial, right_values: &[f64]) -> Option<Monomial> {
        let is_negative = target.values.iter().find(|v| **v != 0.0)?.is_sign_negative();
        let sign = if is_negative { -1.0 } else { 1.0 };
        let signed: Vec<f64> = target.values.iter().map(|v| v * sign).collect();
        // What is wrong may be more than three factors away from 1, but seldom from what is right.
        let unsigned = right.clone().unsigned();
        let ratios: Vec<f64> = signed.iter().zip(right_values).map(|(v, r)| v / r.abs()).collect();
        let relative = |values: &[f64]| -> Vec<f64> {
            let errors = target.errors.iter().zip(target.values);
            errors
                .zip(values)
                .map(|((error, value), _)| 1e-6 + error / value.abs())
                .collect()
        };
        let direct = self.matches(&signed, &relative(&signed));
        let composed = self.matches(&ratios, &relative(&ratios));
        let composed = composed.into_iter().map(|ratio| unsigned.times(&ratio));
        let cost = |found: &Monomial| self.cost(found) + 3 * found.distance(&unsigned);
        let best = direct
            .into_iter()
            .chain(composed)
            .min_by_key(cost)?
            .in_order_of(&unsigned);
        Some(if is_negative { best.negated() } else { best })
    }

    fn cost(&self, product: &Monomial) -> usize {
        let of_factor = |(name, power): &(String, i32)| {
            let kind = self
                .names
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, kind)| *kind);
            let kind = match kind {
                Some(Kind::Plain) => 4,
                Some(Kind::Constant) => 5,
                Some(Kind::Rare | Kind::Renamed) | None => 7,
            };
            kind + usize::from(power.abs() != 2) + usize::from(power.abs() > 2)
        };
        product.halves().iter().map(of_factor).sum()
    }

    /// All products with these values, which are positive, to within these relative errors.
    fn matches(&self, values: &[f64], errors: &[f64]) -> Vec<Monomial> {
        let informative: Vec<usize> = (0..self.chosen.len())
            .filter(|&k| {
                let case = self.chosen[k];
                is_usable(values[case]) && errors[case] < 1e-2
            })
            .collect();
        let Some(&key) = informative.first() else {
            return Vec::new();
        };
        if informative.len() < LEAST_CASES {
            return Vec::new();
        }
        let logs: Vec<(usize, f64, f64)> = informative
            .iter()
            .map(|&k| (k, values[self.chosen[k]].ln(), errors[self.chosen[k]]))
            .collect();
        let mut found = Vec::new();
        for (constant, shift) in &self.constants {
            // The table is sorted by its first case, which may not be informative.
            let (low, high) = if key == 0 {
                let (wanted, error) = (logs[0].1 - shift, logs[0].2);
                let below = self.table.partition_point(|entry| entry.logs[0] < wanted - error);
                let within = self.table.partition_point(|entry| entry.logs[0] <= wanted + error);
                (below, within)
            } else {
                (0, self.table.len())
            };
            let fits = |entry: &&Entry| {
                logs.iter()
                    .all(|(k, log, error)| (entry.logs[*k] + shift - log).abs() <= *error)
            };
            for entry in self.table[low..high].iter().filter(fits) {
                let product = self.product_of(entry, constant);
                if self.confirms(&product, values, errors) {
                    found.push(product);
                }
            }
        }
        found
    }

    fn product_of(&self, entry: &Entry, constant: &[(usize, i32)]) -> Monomial {
        let factors = entry.factors.iter().filter(|(_, power)| *power != 0);
        let factors = factors.map(|&(name, power)| (usize::from(name), i32::from(power)));
        let halves = constant
            .iter()
            .copied()
            .chain(factors)
            .map(|(name, power)| (self.names[name].0.clone(), power));
        Monomial::of_halves(halves.collect())
    }

    /// Whether it has the values in the cases outside of the table, too.
    fn confirms(&self, product: &Monomial, values: &[f64], errors: &[f64]) -> bool {
        let index = |name: &String| self.names.iter().position(|(known, _)| known == name);
        let powers: Vec<(usize, i32)> = product
            .halves()
            .iter()
            .filter_map(|(name, power)| Some((index(name)?, *power)))
            .collect();
        (0..values.len()).all(|case| {
            // Of a value of 0 the relative error is no number.
            let is_known = values[case].is_finite() && errors[case] < 1e-2;
            if !is_known {
                return true;
            }
            let value = powers.iter().fold(1.0, |product, &(name, power)| {
                product * self.cases[case][name].powf(f64::from(power) / 2.0)
            });
            // Nothing is exactly nothing, whose relative error nobody knows.
            value == values[case] || (value - values[case]).abs() <= errors[case] * values[case].abs().max(value.abs())
        })
    }
}

fn is_usable(value: f64) -> bool {
    value.is_finite() && value > 1e-30
}

fn pairs() -> impl Iterator<Item = (i32, i32)> {
    let all = || POWERS.into_iter().chain([-4, 4]);
    all().flat_map(move |p| all().map(move |q| (p, q)))
}

/// Cases in which all common quantities are positive, no two alike. One that is never positive, as `sigma` where all
/// noise
/// is left out, does not count; a rare one that is not in all of these cases will be left out.
fn choose(names: &[(String, Kind)], cases: &[Vec<f64>]) -> Vec<usize> {
    let counts = |name: usize| names[name].1 == Kind::Plain && cases.iter().any(|case| is_usable(case[name]));
    let counting: Vec<usize> = (0..names.len()).filter(|&name| counts(name)).collect();
    let is_complete = |case: &[f64]| counting.iter().all(|&name| is_usable(case[name]));
    let mut chosen: Vec<usize> = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let is_new = chosen.iter().all(|&other: &usize| cases[other] != *case);
        if chosen.len() < TABLE_CASES && is_new && is_complete(case) {
            chosen.push(index);
        }
    }
    chosen
}

#[cfg(test)]
mod tests;
