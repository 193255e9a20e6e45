//! One line of the tables: what was found of one method on one problem.

use methods::calibration::study::Findings;
use methods::calibration::summary::{Share, Summary};
use serde::Serialize;

/// What was found of one method, or of exact draws, on one problem.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `mixture, inpainting`.
    pub problem: String,
    /// What drew.
    pub method: String,
    /// Images that were drawn from the prior, and posterior samples of each.
    pub images: usize,
    pub samples: usize,
    /// What the ranks are of, and how often each rank came; TARP's are the last.
    pub quantities: Vec<String>,
    pub ranks: Vec<Vec<usize>>,
    /// The probability that ranks of exact draws are as uneven: of each quantity; the smallest without TARP, times
    /// their number; none where there are too few images.
    pub p_of_each: Vec<Option<f64>>,
    pub p_of_ranks: Option<f64>,
    pub p_of_tarp: Option<f64>,
    pub tarp_gap: f64,
    /// The shares of numbers in the 50 % and 90 % intervals, each with its standard error.
    pub covered_50: (f64, f64),
    pub covered_90: (f64, f64),
    pub spread_to_skill: f64,
    /// Of a sample and of the mean of all, pixels in [-1, 1].
    pub squared_errors: (f64, f64),
    /// Only where the posterior is known.
    pub closed: Option<Closed>,
}

/// What a known posterior tells besides.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Closed {
    /// How many dB a sample, and the mean of all, are below the posterior's mean.
    pub gap_of_sample: f64,
    pub gap_of_mean: f64,
    /// Sliced Wasserstein distance from exact draws.
    pub distance: f64,
}

impl Line {
    /// A line without what only a known posterior tells.
    pub fn new(problem: &str, method: &str, quantities: &[String], summary: &Summary) -> Self {
        let with_error = |share: Share| (share.mean, share.error);
        Self {
            problem: problem.to_owned(),
            method: method.to_owned(),
            images: summary.images,
            samples: summary.samples,
            quantities: quantities.to_vec(),
            ranks: summary.ranks.iter().map(|ranks| ranks.counts().to_vec()).collect(),
            p_of_each: summary.ranks.iter().map(|ranks| ranks.uniformity()).collect(),
            p_of_ranks: summary.uniformity(),
            p_of_tarp: summary.tarp(),
            tarp_gap: summary.tarp_gap(),
            covered_50: with_error(summary.covered[0]),
            covered_90: with_error(summary.covered[1]),
            spread_to_skill: summary.spread_to_skill(),
            squared_errors: (summary.error_of_samples, summary.error_of_mean),
            closed: None,
        }
    }

    pub fn closed(problem: &str, method: &str, quantities: &[String], findings: &Findings) -> Self {
        Self {
            closed: Some(Closed {
                gap_of_sample: findings.gap_of_sample,
                gap_of_mean: findings.gap_of_mean,
                distance: findings.distance,
            }),
            ..Self::new(problem, method, quantities, &findings.summary)
        }
    }
}
