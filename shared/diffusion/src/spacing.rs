//! Which times a sampler stops at on its way from `T` to 0, when it cannot stop at all of them.

use crate::schedule::{Schedule, ScheduleError, Step, StepVariance};
use crate::straight_path::PathPoint;

/// What the stops are evenly spaced in.
///
/// They are whole times, because a model is asked at those: each is the one nearest to where the rule puts it, and
/// where two would be the same, the earlier ones move up until all differ. So `T` stops are all times, by any rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spacing {
    /// Time itself, as [`Schedule::steps`].
    Time,
    /// `sigma^(1 / rho)`: Karras et al. 2022, "Elucidating the design space of diffusion-based generative models",
    /// Eq. 5; the larger `rho`, the more stops where there is little noise.
    Karras {
        /// Greater than 0; the paper's is 7.
        rho: f64,
    },
    /// The signal-to-noise ratio's logarithm: Lu et al. 2022, "DPM-Solver", section 3.3. It is Karras' rule with an
    /// infinite `rho`.
    LogSnr,
    /// `u`, the share of noise on the straight path of flow matching.
    StraightPath,
}

impl Spacing {
    /// The stops, the first of which is `T`. By the rules of Karras and of the signal-to-noise ratio the last one is
    /// 1; by the others the way to 0 is one more gap of the same width.
    ///
    /// # Errors
    ///
    /// If `n` is outside `1..=T`.
    pub fn times(self, schedule: &Schedule, n: usize) -> Result<Vec<usize>, ScheduleError> {
        let all = schedule.steps(n)?;
        if self == Self::Time || n == 1 {
            return Ok(all.iter().map(|step| step.t).collect());
        }
        let place = |t| self.place(schedule, t);
        let first = place(schedule.num_steps());
        let (last, gaps) = match self {
            Self::Time | Self::StraightPath => (place(0), n),
            Self::Karras { .. } | Self::LogSnr => (place(1), n - 1),
        };
        let wanted = (0..n).map(|i| first + i as f64 / gaps as f64 * (last - first));
        Ok(distinct(
            wanted.map(|wanted| schedule.nearest(wanted, place)).collect(),
            schedule.num_steps(),
        ))
    }

    /// The steps between the stops, the last of which leads to 0; `sigma` as [`Schedule::steps_from`] says.
    ///
    /// # Errors
    ///
    /// If `n` is outside `1..=T`.
    pub fn steps(self, schedule: &Schedule, n: usize) -> Result<Vec<Step>, ScheduleError> {
        let times = self.times(schedule, n)?;
        let variance = if n == schedule.num_steps() {
            StepVariance::Beta
        } else {
            StepVariance::Posterior
        };
        let ends = times.iter().skip(1).chain([&0]);
        let step = |(&t, &t_prev)| schedule.step(t, t_prev).with_variance(variance);
        Ok(times.iter().zip(ends).map(step).collect())
    }

    /// What is evenly spaced; it grows with time.
    fn place(self, schedule: &Schedule, t: usize) -> f64 {
        match self {
            Self::Time => t as f64,
            Self::Karras { rho } => schedule.noise_level(t).powf(1.0 / rho),
            Self::LogSnr => -schedule.half_log_snr(t),
            Self::StraightPath => PathPoint::at(schedule, t).u,
        }
    }
}

/// Falling times from falling or equal ones, all in `1..=num_steps`: the later stay, the earlier move up as far as they
/// must, and no further than there are times.
fn distinct(mut times: Vec<usize>, num_steps: usize) -> Vec<usize> {
    for i in (1..times.len()).rev() {
        times[i - 1] = times[i - 1].max(times[i] + 1);
    }
    for (i, t) in times.iter_mut().enumerate() {
        *t = (*t).min(num_steps - i);
    }
    times
}
