//! DAPS: at each level of noise a clean sample from the posterior, then noised anew, so that early mistakes can be
//! mended.

use diffusion::{Observer, Schedule, ScheduleError, ScoreModel, Step};
use imaging::{ForwardOperator, OperatorKind, residual_norms};
use ndarray::{Array4, Axis};
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{Pass, linear, noise_from_x0_hat, normal_like};
use crate::posterior::data_term::{check, proximal};
use crate::posterior::langevin::Langevin;
use crate::posterior::levels::{distinct_times, karras};
use crate::posterior::walk::{Moment, Walk, at_time, noise_level};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing (Zhang et al. 2024), Algorithm 1. For
/// each level of noise `sigma_t`, from the largest down:
///
/// ```text
/// x0_hat = the probability-flow ODE from x_t to t = 0, in a few steps of Euler's method
/// x_0    ~ p(x_0 | x0_hat, b),  proportional to N(x_0; x0_hat, r_t^2 I) p(b | x_0),  r_t = sigma_t
/// x_t'   = x_0 + sigma_t' z, at the next level t'
/// ```
///
/// The second line is exact for a linear `A`, where that density is Gaussian: its mode for `x0_hat` and `b` with noise
/// of their own added (Papandreou and Yuille 2010). For any other `A` it takes Langevin steps. The result is the
/// `x0_hat` of the last level: the last `x_0` would have its noise.
///
/// The steps that are asked for are the calls of the network: there are as many levels as calls for each allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Daps {
    /// How many times it starts, at least 1, each time at the full price; of each image the result that explains its
    /// measurement best is kept.
    starts: usize,
    /// None: those that are tuned for the operator.
    settings: Option<DapsSettings>,
}

/// What is free in [`Daps`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DapsSettings {
    /// Calls of the network at each level, at least 1.
    pub ode_steps: usize,
    /// The first and the last level, relative to the image.
    pub levels: (f64, f64),
    /// Langevin steps at each level, where they are needed.
    pub langevin_steps: usize,
    /// The size of the first level's Langevin steps; it falls in a straight line to a hundredth at the last.
    pub rate: f64,
    /// The least measurement noise that Langevin steps reckon with.
    pub tau: f64,
}

impl DapsSettings {
    /// Those that served best on photographs kept for tuning, with `sigma = 0.05` (`examples/posterior_sweep.rs`).
    #[must_use]
    pub fn tuned(kind: OperatorKind) -> Self {
        let (levels, rate) = match kind {
            OperatorKind::PhaseRetrieval => ((10.0, 0.05), 4e-3),
            OperatorKind::Hdr => ((3.0, 0.05), 2.5e-4),
            // Linear: the rate is never asked for.
            OperatorKind::ScatteredMask
            | OperatorKind::HoleMask
            | OperatorKind::Blur
            | OperatorKind::MotionBlur
            | OperatorKind::Downsampling
            | OperatorKind::Colourisation
            | OperatorKind::CompressedSensing
            | OperatorKind::Tomography
            | OperatorKind::Fourier => ((10.0, 0.04), 1e-4),
        };
        Self {
            ode_steps: 1,
            levels,
            langevin_steps: 100,
            rate,
            tau: 0.05,
        }
    }
}

impl Daps {
    /// One start.
    pub const ONE_START: Self = Self {
        starts: 1,
        settings: None,
    };
    /// The best of four starts: for operators that hide so much that some of them end far from the truth.
    pub const FOUR_STARTS: Self = Self {
        starts: 4,
        settings: None,
    };

    /// `starts` counts as 1 at least.
    #[must_use]
    pub fn new(starts: usize, settings: Option<DapsSettings>) -> Self {
        Self {
            starts: starts.max(1),
            settings,
        }
    }

    fn settings_for(self, operator: &dyn ForwardOperator) -> DapsSettings {
        self.settings.unwrap_or_else(|| DapsSettings::tuned(operator.kind()))
    }
}

impl DapsSettings {
    /// The ODE's steps at each level, one level after the other; the last step of each leads to `t = 0`.
    fn plan(&self, schedule: &Schedule, num_steps: usize) -> Result<Vec<Step>, ScheduleError> {
        let calls = schedule.steps(num_steps)?.len();
        let ode_steps = self.ode_steps.clamp(1, calls);
        let (first, last) = self.levels;
        let first = first.min(noise_level(schedule.alpha_bar(schedule.num_steps())));
        let levels = karras(first, last.min(first), calls / ode_steps);
        let plan = levels.iter().flat_map(|&level| ode(schedule, level, ode_steps));
        Ok(plan.collect())
    }

    /// A sample of the clean image, from the one that is expected at this time.
    fn sample(
        &self,
        problem: &Problem<'_>,
        now: &Moment<'_>,
        r: f64,
        rate: f64,
        rng: &mut dyn RngCore,
    ) -> Result<Array4<f32>, MethodError> {
        if problem.operator.as_linear().is_some() {
            let near = linear(1.0, now.x0_hat, r, &normal_like(now.x0_hat, rng));
            let b = linear(1.0, problem.b, problem.sigma, &normal_like(problem.b, rng));
            return proximal(problem, &near, &b, (problem.sigma / r).powi(2));
        }
        let langevin = Langevin {
            steps: self.langevin_steps,
            rate,
            tau: problem.sigma.max(self.tau),
            r,
        };
        langevin.sample(problem, now.x0_hat, rng)
    }

    fn solve_once(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        num_steps: usize,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        let steps = &self.plan(model.schedule(), num_steps)?;
        // x_T is nearly pure noise, which it is taken to be whatever the first level is.
        let walk = Walk::new(model, problem, steps, observer);
        let x_start = walk.noise(rng);
        let mut level = steps[0];
        walk.run(x_start, &mut |now| {
            if !now.step.is_last() {
                let eps_hat = noise_from_x0_hat(now.x_t, now.x0_hat, now.step);
                return Ok(at_time(now.step.alpha_bar_prev, now.x0_hat, &eps_hat));
            }
            let Some(next) = steps.get(now.index + 1) else {
                return Ok(now.x0_hat.clone());
            };
            let way = (now.index + 1) as f64 / steps.len() as f64;
            let rate = self.rate * (1.0 - 0.99 * way);
            let x_0 = self.sample(problem, now, noise_level(level.alpha_bar), rate, rng)?;
            level = *next;
            Ok(at_time(next.alpha_bar, &x_0, &normal_like(&x_0, rng)))
        })
    }
}

/// Steps of the probability-flow ODE from a level to 0.
fn ode(schedule: &Schedule, level: f64, num_steps: usize) -> Vec<Step> {
    /// Below this nothing changes any more.
    const SMALLEST: f64 = 0.02;
    let mut times = distinct_times(schedule, &karras(level, SMALLEST.min(level), num_steps + 1));
    times.truncate(num_steps);
    times.push(0);
    times.windows(2).map(|pair| schedule.step(pair[0], pair[1])).collect()
}

/// Keeps of each image the one with the smaller residual.
fn keep_better(best: &mut (Array4<f32>, Vec<f32>), images: &Array4<f32>, residuals: &[f32]) {
    let (kept, least) = best;
    for (index, image) in images.axis_iter(Axis(0)).enumerate() {
        if residuals[index] < least[index] {
            kept.index_axis_mut(Axis(0), index).assign(&image);
            least[index] = residuals[index];
        }
    }
}

impl PosteriorMethod for Daps {
    fn name(&self) -> &'static str {
        if self.starts == 1 { "daps" } else { "daps-best" }
    }

    fn title(&self) -> String {
        match self.starts {
            1 => "DAPS".to_owned(),
            starts => format!("DAPS, best of {starts} starts"),
        }
    }

    fn reference(&self) -> &'static str {
        "Zhang et al. 2024, Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Vjp]
    }

    fn settings(&self, operator: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        let DapsSettings {
            ode_steps,
            levels: (first, last),
            langevin_steps,
            rate,
            tau,
        } = self.settings_for(operator);
        Ok(format!(
            "{} starts; {ode_steps} calls at each level from {first} to {last}; {langevin_steps} Langevin steps of \
             rate {rate}, tau {tau}",
            self.starts
        ))
    }

    fn cost(&self, operator: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        let plan = self.settings_for(operator).plan(schedule, num_steps)?;
        Ok(Cost {
            evaluations: self.starts * plan.len(),
            pullbacks: 0,
        })
    }

    fn solve(
        &self,
        model: &dyn ScoreModel,
        problem: &Problem<'_>,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        check(self, problem)?;
        let settings = self.settings_for(problem.operator);
        let mut start = |start: usize| -> Result<(Array4<f32>, Vec<f32>), MethodError> {
            let observer = &mut Pass::new(start, self.starts, &mut *observer);
            let images = settings.solve_once(model, problem, stepping.num_steps, &mut *rng, observer)?;
            let residuals = residual_norms(problem.operator, problem.b, &images)?;
            Ok((images, residuals))
        };
        let mut best = start(0)?;
        for again in 1..self.starts {
            let (images, residuals) = start(again)?;
            keep_better(&mut best, &images, &residuals);
        }
        Ok(best.0)
    }
}
