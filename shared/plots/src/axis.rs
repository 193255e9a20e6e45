//! From where to where an axis reaches, and what stands at it.

use std::ops::Range;

/// Larger numbers are drawn as if they were this.
const LARGEST: f64 = 1e307;
/// Smaller ones as if they were 0.
const SMALLEST: f64 = 1e-300;
/// Values that differ by less than this share of their size are drawn as equal.
const EQUAL: f64 = 1e-5;

/// An axis. The plotting library is given numbers near 1 only: with others it loses its way when it looks for round
/// ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    /// What the plotting library counts as 1: a power of ten.
    unit: f64,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis for all of the values, with a share of `room` on both sides; what is not finite is passed over. None for
    /// no values.
    pub(crate) fn new(values: impl Iterator<Item = f64>, room: f64) -> Option<Self> {
        let values = values.filter(|value| value.is_finite()).map(clamp);
        let ends = |ends: Option<(f64, f64)>, value: f64| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        };
        let (low, high) = values.fold(None, ends)?;
        let size = low.abs().max(high.abs());
        let (extra, unit) = if size == 0.0 {
            (1.0, 1.0)
        } else if high - low < EQUAL * size {
            (0.1 * size, unit(size))
        } else {
            (room * (high - low), unit(size))
        };
        Some(Self {
            unit,
            low: low - extra,
            high: high + extra,
        })
    }

    /// Both ends, for the plotting library.
    pub(crate) fn range(&self) -> Range<f64> {
        self.place(self.low)..self.place(self.high)
    }

    /// Where a value stands, for the plotting library.
    pub(crate) fn place(&self, value: f64) -> f64 {
        clamp(value) / self.unit
    }

    /// What stands at a place of the axis.
    pub(crate) fn label(&self, place: f64) -> String {
        let size = self.low.abs().max(self.high.abs());
        tick(place * self.unit, self.high - self.low, size)
    }
}

/// A number that can be reckoned with; one that is not finite stays as it is.
fn clamp(value: f64) -> f64 {
    if value.abs() < SMALLEST {
        return 0.0;
    }
    if value.is_finite() {
        value.clamp(-LARGEST, LARGEST)
    } else {
        value
    }
}

/// 1 for numbers of a usual size.
fn unit(size: f64) -> f64 {
    if (1e-4..1e9).contains(&size) {
        1.0
    } else {
        10_f64.powf(size.log10().floor())
    }
}

/// A number at an axis whose largest number is `size`: as many decimals as the axis' span calls for.
pub(crate) fn tick(value: f64, span: f64, size: f64) -> String {
    if !(1e-4..1e6).contains(&span) {
        // As many digits as tell it from its neighbour.
        let digits = (size / span).log10().floor() + 2.0;
        let digits = if digits.is_finite() {
            digits.clamp(1.0, 7.0) as usize
        } else {
            1
        };
        return format!("{value:.digits$e}");
    }
    let decimals = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return if text == "-0" { "0".into() } else { text };
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64]) -> Axis {
        Axis::new(values.iter().copied(), 0.05).expect("an axis")
    }

    #[test]
    fn the_plotting_library_gets_numbers_near_one() {
        for values in [
            &[0.0][..],
            &[5e-324, 1e-310],
            &[f64::MIN, f64::MAX],
            &[f64::MAX],
            &[1e-200, 1.0000000001e-200],
            &[1.0, 1.0 + f64::EPSILON],
            &[1e15, 1e15 + 0.125],
            &[-1e300, 1e-300],
            &[f64::NAN, f64::INFINITY, 3.0],
        ] {
            let range = axis(values).range();
            let size = range.start.abs().max(range.end.abs());
            assert!((1e-4..1e10).contains(&size), "{values:?}: {range:?}");
            assert!(range.end - range.start >= 0.9 * EQUAL * size, "{values:?}: {range:?}");
        }
        assert!(Axis::new([f64::NAN].into_iter(), 0.0).is_none());
    }

    #[test]
    fn usual_numbers_stay_as_they_are() {
        let axis = axis(&[10.0, 30.0]);
        assert_eq!((axis.range(), axis.place(20.0)), (9.0..31.0, 20.0));
        assert_eq!(axis.label(20.0), "20");
    }

    #[test]
    fn neighbouring_numbers_are_told_apart() {
        for (low, span) in [
            (0.0, 1e-9),
            (5.0, 6e-5),
            (1e12, 3e7),
            (-2e-30, 1e-30),
            (0.1, 0.7),
            (1e300, 1e299),
        ] {
            let step = span / 5.0;
            let labels: Vec<String> = (0..6)
                .map(|k| tick(low + f64::from(k) * step, span, low.abs() + span))
                .collect();
            let mut apart = labels.clone();
            apart.dedup();
            assert_eq!(labels.len(), apart.len(), "{labels:?}");
        }
    }
}
