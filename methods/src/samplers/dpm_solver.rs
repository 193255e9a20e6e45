//! DPM-Solver++: what is known of the flow is integrated exactly, and only the clean image is taken from the network.

use diffusion::{Observer, Schedule, ScoreModel, Spacing, Step};
use ndarray::{Array4, ArrayRef4};
use rand::RngCore;

use crate::Sampler;
use crate::error::MethodError;
use crate::parts::{linear, standard_normal, walk};
use crate::stepping::Stepping;

/// DPM-Solver++(2M) and SDE-DPM-Solver++(2M): Lu, Zhou, Bao, Chen, Li and Zhu 2022, "DPM-Solver++: Fast solver for
/// guided sampling of diffusion probabilistic models", Algorithm 2, and the section on solvers of the SDE. In the
/// paper's letters `alpha = sqrt(alpha_bar)`, `sigma = sqrt(1 - alpha_bar)`, `lambda = ln(alpha / sigma)`; a step goes
/// from `s` to `t`, the step before came to `s` from `r`:
///
/// ```text
/// h = lambda_t - lambda_s,   r = (lambda_s - lambda_r) / h
/// D = (1 + 1 / (2 r)) x0_hat(x_s, s) - 1 / (2 r) x0_hat(x_r, r)
/// x_t = sigma_t / sigma_s x_s + alpha_t (1 - e^-h) D                                                  ODE
/// x_t = sigma_t / sigma_s e^-h x_s + alpha_t (1 - e^-2h) D + sigma_t sqrt(1 - e^-2h) z                SDE
/// ```
///
/// At the first step, which has none before it, and at the last, where `h` is infinite, `D = x0_hat`. One call a step:
/// the second order comes from remembering the last answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DpmSolver {
    /// Whether noise is drawn on the way.
    pub equation: Equation,
    /// Where it stops.
    pub spacing: Spacing,
}

/// Which of the two equations with the right noisy distributions is solved (Song et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equation {
    /// The probability flow, without chance.
    Ode,
    /// The reverse diffusion, which forgets its errors in fresh noise.
    Sde,
}

/// The coefficients of one step of first order: `x_t = of_x x_s + of_x0 D + noise z`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Coefficients {
    of_x: f64,
    of_x0: f64,
    noise: f64,
}

impl DpmSolver {
    /// The second-order solver of the flow. It stops where EDM does and not, as the authors do, at even steps of time
    /// or of [`Spacing::LogSnr`], so that it and Heun's method differ in their steps only.
    pub const ODE: Self = Self {
        equation: Equation::Ode,
        spacing: Spacing::Karras { rho: 7.0 },
    };
    /// The second-order solver of the reverse diffusion.
    pub const SDE: Self = Self {
        equation: Equation::Sde,
        ..Self::ODE
    };

    fn check(self) -> Result<(), MethodError> {
        match self.spacing {
            Spacing::Karras { rho } if !(rho > 0.0 && rho.is_finite()) => Err(MethodError::Setting {
                method: self.name(),
                setting: "rho",
                expected: "greater than 0",
                got: rho,
            }),
            _ => Ok(()),
        }
    }

    fn coefficients(self, step: &Step, h: f64) -> Coefficients {
        let alpha_t = step.alpha_bar_prev.sqrt();
        let (sigma_s, sigma_t) = ((1.0 - step.alpha_bar).sqrt(), (1.0 - step.alpha_bar_prev).sqrt());
        match self.equation {
            Equation::Ode => Coefficients {
                of_x: sigma_t / sigma_s,
                of_x0: alpha_t * -(-h).exp_m1(),
                noise: 0.0,
            },
            Equation::Sde => Coefficients {
                of_x: sigma_t / sigma_s * (-h).exp(),
                of_x0: alpha_t * -(-2.0 * h).exp_m1(),
                noise: sigma_t * (-(-2.0 * h).exp_m1()).sqrt(),
            },
        }
    }
}

/// `D`: the clean image where the step is halfway, on the line through the last two answers. `before` is the answer of
/// the step before, and the width of that step.
fn extrapolated(x0_hat: &ArrayRef4<f32>, before: Option<&(Array4<f32>, f64)>, h: f64) -> Array4<f32> {
    match before {
        Some((x0_before, h_before)) if h.is_finite() => {
            let r = h_before / h;
            linear(1.0 + 0.5 / r, x0_hat, -0.5 / r, x0_before)
        }
        _ => x0_hat.to_owned(),
    }
}

/// `h = lambda_t - lambda_s`, infinite at the last step.
fn width(schedule: &Schedule, step: &Step) -> f64 {
    schedule.half_log_snr(step.t_prev) - schedule.half_log_snr(step.t)
}

impl Sampler for DpmSolver {
    fn name(&self) -> &'static str {
        match self.equation {
            Equation::Ode => "dpmpp-2m",
            Equation::Sde => "dpmpp-2m-sde",
        }
    }

    fn title(&self) -> String {
        match self.equation {
            Equation::Ode => "DPM-Solver++ 2M".to_owned(),
            Equation::Sde => "DPM-Solver++ 2M, SDE".to_owned(),
        }
    }

    fn reference(&self) -> &'static str {
        "Lu et al. 2022, DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models, Algorithm 2"
    }

    fn settings(&self) -> String {
        format!("{:?}", self.spacing)
    }

    fn evaluations(&self, num_steps: usize) -> usize {
        num_steps
    }

    fn sample(
        &self,
        model: &dyn ScoreModel,
        num_images: usize,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        self.check()?;
        let schedule = model.schedule();
        let steps = self.spacing.steps(schedule, stepping.num_steps)?;
        let x_start = standard_normal(num_images, model.image_shape(), rng);
        let mut before = None;
        walk(model, x_start, &steps, observer, &mut |now| {
            let h = width(schedule, now.step);
            let d = extrapolated(now.x0_hat, before.as_ref(), h);
            before = Some((now.x0_hat.clone(), h));
            let Coefficients { of_x, of_x0, noise } = self.coefficients(now.step, h);
            let x_t = linear(of_x, now.x_t, of_x0, &d);
            if noise == 0.0 {
                return Ok(x_t);
            }
            let z = standard_normal(num_images, model.image_shape(), rng);
            Ok(linear(1.0, &x_t, noise, &z))
        })
    }
}
