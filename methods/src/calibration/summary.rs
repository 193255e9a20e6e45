//! What many images tell of a method.

use crate::calibration::chance::{normal_tails, smallest_of};
use crate::calibration::quantities::{LEVELS, Observation};
use crate::calibration::ranks::RankHistogram;

/// What [`Observation`]s of independent images tell together.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many images.
    pub images: usize,
    /// How many samples of each.
    pub samples: usize,
    /// The ranks by each quantity; those of the distance from random points (TARP) are the last.
    pub ranks: Vec<RankHistogram>,
    /// The share of the numbers in the 50 % and the 90 % intervals.
    pub covered: [Share; 2],
    /// Mean squared error of the samples' mean.
    pub error_of_mean: f64,
    /// Mean squared error of a sample.
    pub error_of_samples: f64,
    /// Variance of the samples.
    pub variance: f64,
}

/// A mean over independent images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// 0 to 1.
    pub mean: f64,
    /// The standard error of the mean; NaN for less than two images.
    pub error: f64,
}

impl Share {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            error: (squares / (count - 1.0) / count).sqrt(),
        }
    }

    /// The probability that a mean as far from the level as this comes by chance, where the law of large numbers holds.
    #[must_use]
    pub fn chance(&self, level: f64) -> f64 {
        let away = self.mean - level;
        // Point estimates cover nothing of any image: then there is no spread, and no doubt.
        if away == 0.0 {
            1.0
        } else {
            normal_tails(away / self.error)
        }
    }
}

impl Summary {
    /// None for no observations, or for some of different methods: with more samples or other quantities.
    #[must_use]
    pub fn of(observations: &[Observation]) -> Option<Self> {
        let Observation { samples, ranks, .. } = observations.first()?;
        let (samples, quantities) = (*samples, ranks.len());
        let fits = |one: &Observation| one.samples == samples && one.ranks.len() == quantities;
        if !observations.iter().all(fits) {
            return None;
        }
        let images = observations.len();
        let mean = |of: fn(&Observation) -> f64| observations.iter().map(of).sum::<f64>() / images as f64;
        let histogram = |k: usize| RankHistogram::new(samples, observations.iter().map(|one| one.ranks[k]));
        let share = |level: usize| Share::of(&observations.iter().map(|one| one.covered[level]).collect::<Vec<_>>());
        Some(Self {
            images,
            samples,
            ranks: (0..quantities).map(histogram).collect(),
            covered: [share(0), share(1)],
            error_of_mean: mean(|one| one.error_of_mean),
            error_of_samples: mean(|one| one.error_of_samples),
            variance: mean(|one| one.variance),
        })
    }

    /// The probability that an exact sampler has ranks as uneven as these, TARP's aside; None where too few images were
    /// tried to tell.
    #[must_use]
    pub fn uniformity(&self) -> Option<f64> {
        let (_, ranks) = self.ranks.split_last()?;
        smallest_of(
            &ranks
                .iter()
                .map(RankHistogram::uniformity)
                .collect::<Option<Vec<_>>>()?,
        )
    }

    /// The same of the distances from random points: TARP.
    #[must_use]
    pub fn tarp(&self) -> Option<f64> {
        self.ranks.last()?.uniformity()
    }

    /// How far the expected coverage of TARP is from the credibility level at most, 0 to 1.
    #[must_use]
    pub fn tarp_gap(&self) -> f64 {
        self.ranks.last().map_or(0.0, RankHistogram::largest_gap)
    }

    /// The same of both coverages.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        let chances = [0, 1].map(|k| self.covered[k].chance(LEVELS[k]));
        if self.images < 2 { None } else { smallest_of(&chances) }
    }

    /// How far the samples spread, relative to how far their mean is off (Fortin et al. 2014, "Why Should Ensemble
    /// Spread Match the RMSE of the Ensemble Mean?"): 1 for exact samples, 0 for point estimates, below 1 for samples
    /// that are too sure of themselves.
    #[must_use]
    pub fn spread_to_skill(&self) -> f64 {
        let samples = self.samples as f64;
        ((samples + 1.0) / samples * self.variance / self.error_of_mean).sqrt()
    }
}
