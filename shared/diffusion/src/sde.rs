//! The variance-preserving SDE that the discrete forward process is a sampled version of.
//!
//! **Time is measured in steps**: it runs over `[0, T]`, and at a whole number `t` the SDE has exactly the marginal of
//! the discrete process at `t`. (Song et al. 2021 let it run over `[0, 1]`; their `beta` is `T` times this one.)
//!
//! - forward: `dx = f(x, t) dt + g(t) dw` with `f(x, t) = -beta(t) x / 2` and `g(t) = sqrt(beta(t))`
//! - reverse: `dx = [f(x, t) - g(t)^2 grad log p_t(x)] dt + g(t) dw`, with time running backwards (`dt < 0`)
//!
//! Between two whole times `beta(t)` is constant: on `(t - 1, t]` it is `-ln(1 - beta_t)`, which differs from `beta_t`
//! by `beta_t^2 / 2` only. That choice makes `exp(-(integral of beta up to t))` equal to `alpha_bar_t`.

use ndarray::{Array4, ArrayRef4, Zip};

use crate::schedule::Schedule;

/// The variance-preserving SDE of a schedule; see the [module](self) for its conventions.
#[derive(Clone, Debug)]
pub struct VpSde {
    schedule: Schedule,
}

impl VpSde {
    /// The SDE whose marginals at whole times are those of `schedule`.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule }
    }

    /// The schedule it was made from.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// `beta(t)`, the rate at which variance is replaced, per step.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`.
    #[must_use]
    pub fn beta(&self, time: f64) -> f64 {
        -(-self.schedule.beta(self.interval(time))).ln_1p()
    }

    /// `alpha_bar(t) = exp(-(integral of beta from 0 to t))`, also between whole times.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`.
    #[must_use]
    pub fn alpha_bar(&self, time: f64) -> f64 {
        let t = self.interval(time);
        let into_interval = time - (t - 1) as f64;
        self.schedule.alpha_bar(t - 1) * (-self.beta(time) * into_interval).exp()
    }

    /// The drift `f(x, t) = -beta(t) x / 2`.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`.
    #[must_use]
    pub fn drift(&self, x: &ArrayRef4<f32>, time: f64) -> Array4<f32> {
        let rate = (-0.5 * self.beta(time)) as f32;
        x.mapv(|v| rate * v)
    }

    /// The diffusion coefficient `g(t) = sqrt(beta(t))`.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`.
    #[must_use]
    pub fn diffusion(&self, time: f64) -> f64 {
        self.beta(time).sqrt()
    }

    /// One Euler-Maruyama step of the forward SDE over `dt > 0`: `x + f(x, t) dt + g(t) sqrt(dt) eps`.
    ///
    /// `time` is the end of the step, as in the lecture's formula.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`, `dt` is negative, or the shapes differ.
    #[must_use]
    pub fn forward_step(&self, x: &ArrayRef4<f32>, eps: &ArrayRef4<f32>, time: f64, dt: f64) -> Array4<f32> {
        self.euler_maruyama(x, &self.drift(x, time), dt, eps, time)
    }

    /// One Euler-Maruyama step of the reverse SDE from `time` to `time - dt`, `dt > 0`:
    /// `x - [f(x, t) - g(t)^2 score] dt + g(t) sqrt(dt) z`.
    ///
    /// # Panics
    ///
    /// If `time` is outside `[0, T]`, `dt` is negative, or the shapes differ.
    #[must_use]
    pub fn reverse_step(
        &self,
        x: &ArrayRef4<f32>,
        score: &ArrayRef4<f32>,
        z: &ArrayRef4<f32>,
        time: f64,
        dt: f64,
    ) -> Array4<f32> {
        let backwards = -self.reverse_drift(x, score, time);
        self.euler_maruyama(x, &backwards, dt, z, time)
    }

    /// The drift of the reverse SDE, `f(x, t) - g(t)^2 score`.
    fn reverse_drift(&self, x: &ArrayRef4<f32>, score: &ArrayRef4<f32>, time: f64) -> Array4<f32> {
        assert_eq!(x.dim(), score.dim(), "x and its score must have the same shape");
        let beta = self.beta(time) as f32;
        Zip::from(x).and(score).map_collect(|&x, &s| -0.5 * beta * x - beta * s)
    }

    /// `x + drift dt + g(time) sqrt(dt) noise`.
    fn euler_maruyama(
        &self,
        x: &ArrayRef4<f32>,
        drift: &ArrayRef4<f32>,
        dt: f64,
        noise: &ArrayRef4<f32>,
        time: f64,
    ) -> Array4<f32> {
        assert!(dt >= 0.0, "dt must not be negative, got {dt}");
        assert_eq!(x.dim(), noise.dim(), "x and the noise must have the same shape");
        let spread = (self.diffusion(time) * dt.sqrt()) as f32;
        let dt = dt as f32;
        Zip::from(x)
            .and(drift)
            .and(noise)
            .map_collect(|&x, &f, &n| x + f * dt + spread * n)
    }

    /// The `t` whose interval `(t - 1, t]` holds `time`; time 0 counts to the first one.
    fn interval(&self, time: f64) -> usize {
        let num_steps = self.schedule.num_steps();
        assert!(
            (0.0..=num_steps as f64).contains(&time),
            "the SDE lives on the times from 0 to {num_steps}, not at {time}"
        );
        (time.ceil() as usize).max(1)
    }
}
