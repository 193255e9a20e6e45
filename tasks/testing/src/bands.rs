//! What the reference solution reaches on images: a file that a command writes and the tests of images read.
//!
//! Every task has it as `tests/images.json`. The command measures the reference with other seeds than the tests':
//!
//! ```text
//! cargo test -p TASK --test images -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A band reaches so many standard deviations to either side: none of a million right solutions is refused.
const DEVIATIONS: f64 = 5.0;

/// The figures of one task, by their names.
#[derive(Debug)]
pub struct Bands {
    path: PathBuf,
    figures: BTreeMap<String, Figure>,
}

/// What the reference reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Over the measured runs.
    pub mean: f64,
    /// Of what a test looks at, which may be the mean of several runs.
    pub deviation: f64,
}

impl Bands {
    /// Those of the task whose crate lies in `folder` (`env!("CARGO_MANIFEST_DIR")`); none if nobody measured them yet.
    ///
    /// # Panics
    ///
    /// If the file is there and cannot be understood.
    #[must_use]
    pub fn of_task(folder: &str) -> Self {
        let path = Path::new(folder).join("tests/images.json");
        let figures = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .unwrap_or_else(|error| panic!("{} is not what the course shipped: {error}", path.display())),
            Err(_) => BTreeMap::new(),
        };
        Self { path, figures }
    }

    /// The figure of that name.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn figure(&self, name: &str) -> Figure {
        let found = self.figures.get(name).copied();
        found.unwrap_or_else(|| {
            panic!(
                "{} has no figure `{name}`: measure it with cargo test --test images -- --ignored --nocapture",
                self.path.display()
            )
        })
    }

    /// Puts in what `runs` of the reference reached; a test looks at the mean of `averaged` of them.
    pub fn measured(&mut self, name: &str, runs: &[f64], averaged: u64) {
        let count = runs.len() as f64;
        let mean = runs.iter().sum::<f64>() / count;
        let variance = runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        let figure = Figure {
            mean: rounded(mean),
            deviation: rounded((variance / averaged as f64).sqrt()),
        };
        println!(
            "{name}: mean {}, standard deviation {}, band {:.4} to {:.4}",
            figure.mean,
            figure.deviation,
            figure.least(),
            figure.most()
        );
        self.figures.insert(name.to_owned(), figure);
    }

    /// Writes the file.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn save(&self) {
        let text = serde_json::to_string_pretty(&self.figures).expect("names and finite numbers");
        fs::write(&self.path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        println!("{} is written", self.path.display());
    }
}

impl Figure {
    /// No right solution is below.
    #[must_use]
    pub fn least(self) -> f64 {
        self.mean - DEVIATIONS * self.deviation
    }

    /// No right solution is above.
    #[must_use]
    pub fn most(self) -> f64 {
        self.mean + DEVIATIONS * self.deviation
    }

    /// From [`Self::least`] to [`Self::most`].
    #[must_use]
    pub fn band(self) -> RangeInclusive<f64> {
        self.least()..=self.most()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tests")).expect("a folder in it");
        let name = folder.path().to_str().expect("a plain name");
        let mut bands = Bands::of_task(name);
        bands.measured("psnr", &[30.0, 32.0], 2);
        bands.save();
        let figure = Bands::of_task(name).figure("psnr");
        assert_eq!((figure.mean, figure.deviation), (31.0, 1.0));
        assert_eq!(figure.band(), 26.0..=36.0);
    }
}
