//! The noise schedule: how much noise is added at each step, and which steps a sampler visits.

use thiserror::Error;

/// Why a schedule or a list of steps could not be made.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ScheduleError {
    /// A schedule needs at least one step.
    #[error("a schedule needs at least one step, got none")]
    Empty,
    /// The betas of a schedule lie in the open interval (0, 1).
    #[error("beta must be strictly between 0 and 1, but beta_{t} = {beta}")]
    Beta {
        /// The time step at fault.
        t: usize,
        /// Its beta.
        beta: f64,
    },
    /// A sampler asked for a number of steps that does not fit the schedule.
    #[error("cannot take {asked} steps from t = {t_start}: ask for 1 to {t_start}")]
    Steps {
        /// The number of steps asked for.
        asked: usize,
        /// The time the steps start from.
        t_start: usize,
    },
    /// A start time outside `1..=T`.
    #[error("the start time t = {t_start} is outside 1..={num_steps}")]
    Start {
        /// The start time asked for.
        t_start: usize,
        /// T of the schedule.
        num_steps: usize,
    },
}

/// A discrete noise schedule: `beta_t` for `t = 1..=T`, and what follows from it.
///
/// `alpha_t = 1 - beta_t` and `alpha_bar_t = alpha_1 alpha_2 ... alpha_t`, with `alpha_bar_0 = 1` (an empty product: at
/// `t = 0` the image is clean). The forward process at time `t` is
/// `x_t ~ N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)`.
///
/// ```
/// let schedule = diffusion::Schedule::linear();
/// assert_eq!(schedule.num_steps(), 1000);
/// assert_eq!(schedule.alpha_bar(0), 1.0);
/// assert!(schedule.alpha_bar(1000) < 1e-4);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `betas[t - 1]` is `beta_t`.
    betas: Vec<f64>,
    /// `alpha_bars[t]` is `alpha_bar_t`, so it is one longer.
    alpha_bars: Vec<f64>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::linear()
    }
}

impl Schedule {
    /// The schedule of the DDPM paper and of this course: T = 1000, beta from 1e-4 to 0.02 in equal steps.
    #[must_use]
    pub fn linear() -> Self {
        Self::of_betas(evenly_spaced(1000, 1e-4, 0.02))
    }

    /// `beta_t` from `beta_first` (at t = 1) to `beta_last` (at t = `num_steps`) in equal steps.
    ///
    /// # Errors
    ///
    /// If there are no steps, or a beta is outside (0, 1).
    pub fn linear_with(num_steps: usize, beta_first: f64, beta_last: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(evenly_spaced(num_steps, beta_first, beta_last))
    }

    /// The cosine schedule of Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", Eq. 17:
    /// `alpha_bar_t = f(t) / f(0)`, `f(t) = cos^2(((t / T + s) / (1 + s)) pi / 2)`, `s = 0.008`; no beta is above
    /// 0.999.
    ///
    /// It destroys the image more evenly over time than the linear schedule does.
    ///
    /// # Errors
    ///
    /// If there are no steps.
    pub fn cosine(num_steps: usize) -> Result<Self, ScheduleError> {
        let s = 0.008;
        let f = |t: usize| {
            let angle = (t as f64 / num_steps as f64 + s) / (1.0 + s) * std::f64::consts::FRAC_PI_2;
            angle.cos().powi(2)
        };
        Self::from_betas((1..=num_steps).map(|t| (1.0 - f(t) / f(t - 1)).min(0.999)).collect())
    }

    /// A schedule from its betas, `betas[0]` being `beta_1`.
    ///
    /// # Errors
    ///
    /// If there are no betas, or one is outside (0, 1).
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, ScheduleError> {
        if betas.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if let Some(i) = betas.iter().position(|b| !(*b > 0.0 && *b < 1.0)) {
            return Err(ScheduleError::Beta {
                t: i + 1,
                beta: betas[i],
            });
        }
        Ok(Self::of_betas(betas))
    }

    /// For betas that are in range.
    fn of_betas(betas: Vec<f64>) -> Self {
        let mut alpha_bars = Vec::with_capacity(betas.len() + 1);
        let mut product = 1.0;
        alpha_bars.push(product);
        for beta in &betas {
            product *= 1.0 - beta;
            alpha_bars.push(product);
        }
        Self { betas, alpha_bars }
    }

    /// T, the number of steps.
    #[must_use]
    pub fn num_steps(&self) -> usize {
        self.betas.len()
    }

    /// `beta_t`, the variance of the noise that step `t` adds.
    ///
    /// # Panics
    ///
    /// If `t` is outside `1..=T`.
    #[must_use]
    pub fn beta(&self, t: usize) -> f64 {
        assert!(
            (1..=self.num_steps()).contains(&t),
            "beta(t) and alpha(t) exist for t in 1..={}, not for t = {t}",
            self.num_steps()
        );
        self.betas[t - 1]
    }

    /// `alpha_t = 1 - beta_t`.
    ///
    /// # Panics
    ///
    /// If `t` is outside `1..=T`.
    #[must_use]
    pub fn alpha(&self, t: usize) -> f64 {
        1.0 - self.beta(t)
    }

    /// `alpha_bar_t`, the product of `alpha_1` to `alpha_t`; `alpha_bar(0)` is 1.
    ///
    /// # Panics
    ///
    /// If `t` is outside `0..=T`.
    #[must_use]
    pub fn alpha_bar(&self, t: usize) -> f64 {
        assert!(
            t <= self.num_steps(),
            "alpha_bar(t) exists for t in 0..={}, not for t = {t}",
            self.num_steps()
        );
        self.alpha_bars[t]
    }

    /// The whole way back in `n` steps: from `T` to 0, first step first. With `n = T` these are all the steps.
    ///
    /// `sigma` is as [`Self::steps_from`] says.
    ///
    /// # Errors
    ///
    /// If `n` is outside `1..=T`.
    pub fn steps(&self, n: usize) -> Result<Vec<Step>, ScheduleError> {
        self.steps_from(self.num_steps(), n)
    }

    /// The way back from `t_start` to 0 in `n` steps, as evenly spaced as integers allow, first step first. The first
    /// step starts at `t_start`, each next one where the last one ended, and the last one ends at 0.
    ///
    /// With `n = t_start`, when no time is left out, `sigma` is the lecture's. With fewer steps it is that of
    /// [`StepVariance::Posterior`]: wide steps with the lecture's leave noise in the result. [`Step::with_variance`]
    /// changes either.
    ///
    /// # Errors
    ///
    /// If `t_start` is outside `1..=T`, or `n` outside `1..=t_start`.
    pub fn steps_from(&self, t_start: usize, n: usize) -> Result<Vec<Step>, ScheduleError> {
        let num_steps = self.num_steps();
        if !(1..=num_steps).contains(&t_start) {
            return Err(ScheduleError::Start { t_start, num_steps });
        }
        if !(1..=t_start).contains(&n) {
            return Err(ScheduleError::Steps { asked: n, t_start });
        }
        // round(i t_start / n) in whole numbers; as t_start / n >= 1, no two of them are equal.
        let time = |i: usize| (2 * i * t_start + n) / (2 * n);
        let variance = if n == t_start {
            StepVariance::Beta
        } else {
            StepVariance::Posterior
        };
        let step = |i| self.step(time(i), time(i - 1)).with_variance(variance);
        Ok((1..=n).rev().map(step).collect())
    }

    /// The reverse step from `t` to `t_prev`, with the lecture's `sigma`; [`Step::with_variance`] changes that.
    ///
    /// # Panics
    ///
    /// Unless `t_prev < t <= T`.
    #[must_use]
    pub fn step(&self, t: usize, t_prev: usize) -> Step {
        assert!(
            t_prev < t,
            "a reverse step goes down in time, not from t = {t} to t_prev = {t_prev}"
        );
        let (alpha_bar, alpha_bar_prev) = (self.alpha_bar(t), self.alpha_bar(t_prev));
        let alpha = if t_prev + 1 == t {
            self.alpha(t)
        } else {
            alpha_bar / alpha_bar_prev
        };
        let step = Step {
            t,
            t_prev,
            alpha,
            alpha_bar,
            alpha_bar_prev,
            sigma: 0.0,
        };
        step.with_variance(StepVariance::default())
    }
}

/// `count` numbers from `first` to `last` in equal steps.
fn evenly_spaced(count: usize, first: f64, last: f64) -> Vec<f64> {
    let intervals = count.saturating_sub(1).max(1) as f64;
    let at = |i: usize| first + (last - first) * i as f64 / intervals;
    (0..count).map(at).collect()
}

/// Which variance the noise of a reverse step has: both choices of Ho et al. 2020, section 3.2.
///
/// The first is exact if the clean images are standard normal, the second if there is but one of them; what is right
/// for a given prior lies in between. With T steps they hardly differ. With few, wide steps the first leaves noise in
/// the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepVariance {
    /// `sigma_t^2 = 1 - alpha_t`, the lecture's.
    #[default]
    Beta,
    /// `sigma_t^2 = (1 - alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)`, that of `x_{t-1}` given `x_t` and `x_0`.
    Posterior,
}

/// One reverse step, from time `t` down to `t_prev`, with all its coefficients.
///
/// In a respaced schedule `t_prev` is not `t - 1`. The marginals of the forward process at the times that are left are
/// those of a schedule of their own, whose `alpha` is `alpha_bar_t / alpha_bar_{t_prev}`: with that `alpha` all
/// formulas of the lecture hold as they stand, `t - 1` being read as `t_prev`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The time of `x_t`, which the score model is asked about.
    pub t: usize,
    /// The time the step leads to; 0 for the last step, `t` for a pause ([`Step::pause`]).
    pub t_prev: usize,
    /// `alpha_bar / alpha_bar_prev`; where `t_prev = t - 1` this is the schedule's `alpha_t`.
    pub alpha: f64,
    /// `alpha_bar` at `t`.
    pub alpha_bar: f64,
    /// `alpha_bar` at `t_prev`.
    pub alpha_bar_prev: f64,
    /// `sigma_t`, the standard deviation of the noise that is added (Ho et al. 2020, Algorithm 2); 0 at the last step.
    pub sigma: f64,
}

impl Step {
    /// `beta = 1 - alpha` of this step.
    #[must_use]
    pub fn beta(&self) -> f64 {
        1.0 - self.alpha
    }

    /// The same step with the noise of another rule. At the last step `sigma` is 0 with either.
    #[must_use]
    pub fn with_variance(self, variance: StepVariance) -> Self {
        let sigma_squared = match variance {
            _ if self.is_last() => 0.0,
            StepVariance::Beta => self.beta(),
            StepVariance::Posterior => self.beta() * (1.0 - self.alpha_bar_prev) / (1.0 - self.alpha_bar),
        };
        Self {
            sigma: sigma_squared.sqrt(),
            ..self
        }
    }

    /// This step's time again, without a step: `alpha = 1`, no noise, and `x_t` stays what it is. What is left of a
    /// method's step is its guidance, so that a pause before a step is one more gradient at the same time.
    #[must_use]
    pub fn pause(self) -> Self {
        Self {
            t_prev: self.t,
            alpha: 1.0,
            alpha_bar_prev: self.alpha_bar,
            sigma: 0.0,
            ..self
        }
    }

    /// Whether this step ends at the clean image (where no noise is added any more).
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.t_prev == 0
    }
}
