//! Where true values stood among samples, and whether that could be chance.

use crate::calibration::chance::chi_squared_tail;

/// The chi-squared law needs so many expected in each of its bins.
const LEAST_EXPECTED: usize = 5;

/// How often each rank came, in simulation-based calibration (Talts et al. 2018, "Validating Bayesian Inference
/// Algorithms with Simulation-Based Calibration").
///
/// The rank of a true value among `L` samples is the number of samples below it, `0..=L`. If truth and samples come
/// from one distribution, all `L + 1` ranks are equally likely. Samples that spread too little leave the truth outside,
/// at the ends; samples that spread too much keep it in the middle; biased ones push it to one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankHistogram {
    counts: Vec<usize>,
}

impl RankHistogram {
    /// Counts ranks among `samples` samples; a rank above `samples` counts as `samples`.
    #[must_use]
    pub fn new(samples: usize, ranks: impl IntoIterator<Item = usize>) -> Self {
        let mut counts = vec![0; samples + 1];
        for rank in ranks {
            counts[rank.min(samples)] += 1;
        }
        Self { counts }
    }

    /// How often each of the ranks `0..=L` came.
    #[must_use]
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// How many ranks there are in all.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The probability that equally likely ranks are as uneven as these, by Pearson's chi-squared test; None where
    /// there are too few of them to tell.
    ///
    /// Neighbouring ranks share a bin where a bin of its own for each would expect less than 5.
    #[must_use]
    pub fn uniformity(&self) -> Option<f64> {
        let bins = self.bins()?;
        let chi_squared = self.chi_squared(bins);
        Some(chi_squared_tail(chi_squared, bins - 1))
    }

    /// The most bins of equally many ranks, 2 or more, that still expect enough each.
    fn bins(&self) -> Option<usize> {
        let ranks = self.counts.len();
        let fits = |bins: &usize| ranks.is_multiple_of(*bins) && self.trials() >= LEAST_EXPECTED * bins;
        (2..=ranks).rev().find(fits)
    }

    fn chi_squared(&self, bins: usize) -> f64 {
        let expected = self.trials() as f64 / bins as f64;
        let binned = self.counts.chunks(self.counts.len() / bins);
        let counts = binned.map(|bin| bin.iter().sum::<usize>() as f64);
        counts.map(|count| (count - expected).powi(2) / expected).sum()
    }

    /// The largest difference between the share of ranks below a level and the level: for the ranks of distances from a
    /// random point, how far the expected coverage of TARP is from the credibility level (Lemos et al. 2023, "Sampling-
    /// Based Accuracy Testing of Posterior Estimators for General Inference", Algorithm 2). 0 to 1; 0 without ranks.
    #[must_use]
    pub fn largest_gap(&self) -> f64 {
        let (trials, ranks) = (self.trials().max(1) as f64, self.counts.len() as f64);
        let mut below = 0;
        let gaps = self.counts.iter().enumerate().map(|(rank, count)| {
            below += count;
            (below as f64 / trials - (rank + 1) as f64 / ranks).abs()
        });
        if self.trials() == 0 {
            0.0
        } else {
            gaps.fold(0.0, f64::max)
        }
    }
}
