//! Levels of noise, and the times of a schedule that have them: for methods that plan by the noise and not by the time.

use diffusion::Schedule;

use crate::posterior::walk::noise_level;

/// `count` levels from `first` down to `last`, densest at the low end (Karras et al. 2022, Eq. 5, with `rho = 7`); one
/// level is `first`.
pub(crate) fn karras(first: f64, last: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (first.powf(1.0 / RHO), last.powf(1.0 / RHO));
    let at = |k: usize| {
        let way = k as f64 / count.saturating_sub(1).max(1) as f64;
        (from + way * (to - from)).powf(RHO)
    };
    (0..count).map(at).collect()
}

/// `count` levels from `first` down to `last`, each the same part of the one before; one level is `last`.
pub(crate) fn geometric(first: f64, last: f64, count: usize) -> Vec<f64> {
    let at = |k: usize| {
        let way = if count > 1 { k as f64 / (count - 1) as f64 } else { 1.0 };
        first * (last / first).powf(way)
    };
    (0..count).map(at).collect()
}

/// The time whose noise is nearest to this level, in ratio.
pub(crate) fn time_of(schedule: &Schedule, level: f64) -> usize {
    let distance = |t: &usize| (noise_level(schedule.alpha_bar(*t)) / level).ln().abs();
    let nearer = |a: &usize, b: &usize| distance(a).total_cmp(&distance(b));
    (1..=schedule.num_steps()).min_by(nearer).unwrap_or(1)
}

/// The times of some levels that fall, each time once.
pub(crate) fn distinct_times(schedule: &Schedule, levels: &[f64]) -> Vec<usize> {
    let mut times: Vec<usize> = levels.iter().map(|&level| time_of(schedule, level)).collect();
    times.dedup();
    times
}
