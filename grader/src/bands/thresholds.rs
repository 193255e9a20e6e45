//! The points of every check, and the bands that figures of images have to lie in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use check::list::{ALL_POINTS, LIST};
use serde::{Deserialize, Serialize};

use crate::checks::Check;
use crate::course::task::Task;

/// The file `thresholds.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thresholds {
    /// The fingerprint of the hidden images that the bands were measured on.
    #[serde(default)]
    pub images: String,
    /// How far from its mean a figure may be, in standard deviations, and the share of the points that it earns there.
    pub shares: Vec<[f64; 2]>,
    /// Points that differ from those of the list of tasks, by the check's key, such as `6.2 formula`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
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
    ///
    /// If it is missing or damaged, gives points to what is no check, or the points do not add up to 100.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let thresholds: Self = toml::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
        let defaults = Task::all()
            .into_iter()
            .flat_map(|task| task.listed().points())
            .collect();
        let faults = thresholds.wrong_points(&defaults);
        ensure!(faults.is_empty(), "`{}`: {}", path.display(), faults.join("; "));
        Ok(thresholds)
    }

    /// What is wrong with the points, given those of the list of tasks: a sentence each.
    pub(crate) fn wrong_points(&self, defaults: &BTreeMap<String, f64>) -> Vec<String> {
        let unknown = self.points.keys().filter(|key| !defaults.contains_key(*key));
        let mut faults: Vec<String> = unknown
            .map(|key| format!("[points] names \"{key}\", which is no check of `{LIST}`: correct or remove the line"))
            .collect();
        let points = |(key, default): (&String, &f64)| self.points.get(key).copied().unwrap_or(*default);
        let sum: f64 = defaults.iter().map(points).sum();
        if (sum - ALL_POINTS).abs() > 1e-9 {
            faults.push(format!(
                "the points of `{LIST}`, with those of [points] here in their place, add up to {sum}, expected \
                 {ALL_POINTS}: give other points"
            ));
        }
        faults
    }

    /// The points of a check: those of the file, else those of the list of tasks.
    #[must_use]
    pub fn points(&self, check: &Check) -> f64 {
        let listed = || check.task.listed().exercises.get(check.exercise)?.get(check.name);
        self.points.get(&check.key()).or_else(listed).copied().unwrap_or(0.0)
    }

    /// The share that a figure earns, and the band in words: `at least 31.20 (1), 30.50 (0.6)`.
    ///
    /// # Errors
    ///
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

    fn with_points(points: &[(&str, f64)]) -> Thresholds {
        Thresholds {
            images: String::new(),
            shares: vec![[5.0, 1.0]],
            points: points
                .iter()
                .map(|(key, points)| ((*key).to_owned(), *points))
                .collect(),
            bands: BTreeMap::new(),
        }
    }

    #[test]
    fn points_of_the_file_stand_in_the_place_of_those_of_the_list() {
        let listed: BTreeMap<String, f64> =
            BTreeMap::from([("6.1 formula".into(), 40.0), ("6.2 formula".into(), 60.0)]);
        let faults = |points: &[(&str, f64)]| with_points(points).wrong_points(&listed);
        assert_eq!(faults(&[]), [""; 0]);
        assert_eq!(faults(&[("6.1 formula", 50.0), ("6.2 formula", 50.0)]), [""; 0]);
        assert!(faults(&[("6.1 formula", 50.0)])[0].contains("add up to 110"));
        assert!(faults(&[("6.9 formula", 5.0)])[0].contains("\"6.9 formula\", which is no check"));
        let thresholds = with_points(&[("6.2 formula", 1.5)]);
        let task6 = Task::of_number(6).map(Check::of_task).unwrap_or_default();
        let points: Vec<f64> = task6.iter().take(3).map(|check| thresholds.points(check)).collect();
        let of_list = |check: &Check| check.task.listed().exercises[check.exercise][check.name];
        assert_eq!(points, [of_list(&task6[0]), 1.5, of_list(&task6[2])]);
    }

    #[test]
    fn shares_follow_the_worse_side() -> Result<()> {
        let band = |worse| Band {
            mean: 30.0,
            std: 0.1,
            worse,
        };
        let bands = [("below", Worse::Below), ("above", Worse::Above), ("both", Worse::Both)];
        let thresholds = Thresholds {
            images: String::new(),
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
