//! The points of every check, and the bands that figures of images have to lie in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::Task;
use crate::checks::Check;

/// The points that all tasks have together, and each of them.
const ALL_POINTS: f64 = 100.0;

/// The file `thresholds.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thresholds {
    /// How far from its mean a figure may be, in standard deviations, and the share of the points that it earns there.
    pub shares: Vec<[f64; 2]>,
    /// The points of each check, by its key, such as `6.2 formula`.
    pub points: BTreeMap<String, f64>,
    /// The bands of each check on images, by the check's key and the figure's name, such as `inpainting: PSNR`.
    #[serde(default)]
    pub bands: BTreeMap<String, BTreeMap<String, Band>>,
}

/// What the reference solution reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The mean over seeds.
    pub mean: f64,
    /// The standard deviation over seeds of what one grading measures.
    pub std: f64,
    /// On which side of the mean a figure is worse.
    pub worse: Worse,
}

/// On which side of the mean a figure is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    /// Below, such as PSNR.
    Below,
    /// Above, such as LPIPS.
    Above,
    /// On both sides: there is a right value.
    Both,
}

impl Thresholds {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is missing or damaged, lacks the points of a check, or the points do not add up to 100.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let thresholds: Self = toml::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
        for check in Task::ALL.into_iter().flat_map(Check::of_task) {
            let key = check.key();
            ensure!(
                thresholds.points.contains_key(&key),
                "`{}` lacks the points of \"{key}\"",
                path.display()
            );
        }
        let sum: f64 = thresholds.points.values().sum();
        ensure!(
            (sum - ALL_POINTS).abs() < 1e-9,
            "the points in `{}` add up to {sum}, expected {ALL_POINTS}",
            path.display()
        );
        Ok(thresholds)
    }

    /// The points of a check.
    #[must_use]
    pub fn points(&self, check: &Check) -> f64 {
        self.points.get(&check.key()).copied().unwrap_or(0.0)
    }

    /// The share that a figure earns, and the band in words: `at least 31.20 (1), 30.50 (0.6)`.
    ///
    /// # Errors
    /// If there is no band of that name.
    pub fn share(&self, key: &str, figure: &str, value: f64) -> Result<(f64, String)> {
        let band = self
            .bands
            .get(key)
            .and_then(|bands| bands.get(figure))
            .with_context(|| {
                format!("thresholds.toml has no band for \"{key}\", \"{figure}\": run `grader calibrate`")
            })?;
        let off = band.deviations(value);
        let share = self
            .shares
            .iter()
            .filter(|[most, _]| off <= *most)
            .map(|[_, share]| *share);
        let places: Vec<String> = self
            .shares
            .iter()
            .map(|[most, share]| band.place(*most, *share))
            .collect();
        Ok((share.fold(0.0, f64::max), places.join(", ")))
    }
}

impl Band {
    /// How far a figure lies on the worse side, in standard deviations.
    fn deviations(&self, value: f64) -> f64 {
        let off = match self.worse {
            Worse::Below => self.mean - value,
            Worse::Above => value - self.mean,
            Worse::Both => (value - self.mean).abs(),
        };
        // A NaN is as far off as can be.
        if off.is_nan() { f64::INFINITY } else { off / self.std }
    }

    fn place(&self, deviations: f64, share: f64) -> String {
        let (low, high) = (self.mean - deviations * self.std, self.mean + deviations * self.std);
        let percent = 100.0 * share;
        match self.worse {
            Worse::Below => format!("{low:.3} or more: {percent:.0} %"),
            Worse::Above => format!("{high:.4} or less: {percent:.0} %"),
            Worse::Both => format!("{low:.3} to {high:.3}: {percent:.0} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_worse_side() -> Result<()> {
        let band = |worse| Band {
            mean: 30.0,
            std: 0.1,
            worse,
        };
        let bands = [("below", Worse::Below), ("above", Worse::Above), ("both", Worse::Both)];
        let thresholds = Thresholds {
            shares: vec![[5.0, 1.0], [10.0, 0.5]],
            points: BTreeMap::new(),
            bands: BTreeMap::from([("x".into(), bands.map(|(name, worse)| (name.into(), band(worse))).into())]),
        };
        let share = |name: &str, value: f64| thresholds.share("x", name, value).map(|share| share.0);
        assert_eq!(
            (share("below", 29.6)?, share("below", 29.2)?, share("below", 28.0)?),
            (1.0, 0.5, 0.0)
        );
        assert_eq!(
            (share("below", 99.0)?, share("above", 99.0)?, share("both", 99.0)?),
            (1.0, 0.0, 0.0)
        );
        assert_eq!((share("above", -9.0)?, share("below", f64::NAN)?), (1.0, 0.0));
        assert!(share("unknown", 1.0).is_err());
        Ok(())
    }
}
