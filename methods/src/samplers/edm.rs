//! The samplers of EDM: the probability flow as an ordinary differential equation, by Euler's or Heun's method, with
//! noise put back on the way if one likes.

use diffusion::{Observer, Schedule, ScoreModel, Spacing, Step};
use ndarray::{Array4, ArrayRef4};
use rand::RngCore;

use crate::Sampler;
use crate::error::MethodError;
use crate::parts::{linear, standard_normal};
use crate::samplers::denoiser::Denoiser;
use crate::stepping::Stepping;

/// Karras, Aittala, Aila and Laine 2022, "Elucidating the design space of diffusion-based generative models", Algorithm
/// 2 (Algorithm 1 where nothing is churned). In the paper's letters `x` is an image plus noise of standard deviation
/// `sigma`, which is `x_t / sqrt(alpha_bar_t)` here, `D(x; sigma)` is `x0_hat`, and `N` is the number of steps:
///
/// ```text
/// gamma   = min(S_churn / N, sqrt(2) - 1)   where S_min <= sigma <= S_max, else 0
/// sigma^  = sigma + gamma sigma
/// x^      = x + sqrt(sigma^^2 - sigma^2) S_noise z
/// d       = (x^ - D(x^; sigma^)) / sigma^
/// x_next  = x^ + (sigma_next - sigma^) d
/// d'      = (x_next - D(x_next; sigma_next)) / sigma_next       Heun only, and not where sigma_next = 0
/// x_next  = x^ + (sigma_next - sigma^) (d + d') / 2
/// ```
///
/// The `sigma` are spaced by Eq. 5 from that of `T` to that of `t = 1`, and then comes 0; each is that of a whole time
/// ([`Spacing::Karras`]), and so is `sigma^`. A step of Euler's method without churning is one of
/// [DDIM](crate::samplers::ddim): only the stops differ.
///
/// [`Stepping::num_steps`] counts calls of the network. Heun's method needs two for a step and one for the last, so
/// that it takes half as many steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    /// How a step is taken.
    pub rule: Rule,
    /// Of the spacing of the `sigma`, greater than 0.
    pub rho: f64,
    /// What noise is put back.
    pub churn: Churn,
}

/// How one step along a differential equation is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Straight ahead: one call of the network, an error that falls as the number of steps.
    Euler,
    /// Along the mean of the slopes at both ends: two calls, an error that falls as its square.
    Heun,
}

/// The noise that is put back before each step, in the paper's letters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// How much, all steps together; 0 is none.
    pub s_churn: f64,
    /// From which `sigma` on.
    pub s_min: f64,
    /// Up to which `sigma`.
    pub s_max: f64,
    /// By what factor the new noise is wider than it should be, to make up for a network that removes too much.
    pub s_noise: f64,
}

impl Churn {
    /// None: the differential equation alone.
    pub const NONE: Self = Self {
        s_churn: 0.0,
        s_min: 0.0,
        s_max: 0.0,
        s_noise: 1.0,
    };
    /// What the paper takes for its own network on ImageNet at 64x64 pixels (Table 5).
    pub const IMAGENET: Self = Self {
        s_churn: 40.0,
        s_min: 0.05,
        s_max: 50.0,
        s_noise: 1.003,
    };

    /// `gamma` of a step that starts at `sigma`, one of `num_steps`.
    fn gamma(self, sigma: f64, num_steps: usize) -> f64 {
        if self.s_churn == 0.0 || !(self.s_min..=self.s_max).contains(&sigma) {
            return 0.0;
        }
        (self.s_churn / num_steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
    }
}

impl Edm {
    /// Euler's method, no noise.
    pub const EULER: Self = Self {
        rule: Rule::Euler,
        rho: 7.0,
        churn: Churn::NONE,
    };
    /// Heun's method, no noise.
    pub const HEUN: Self = Self {
        rule: Rule::Heun,
        ..Self::EULER
    };
    /// Heun's method with noise put back.
    pub const HEUN_CHURN: Self = Self {
        churn: Churn::IMAGENET,
        ..Self::HEUN
    };

    /// `N`, the steps that so many calls of the network are enough for.
    fn num_steps(self, calls: usize) -> usize {
        match self.rule {
            Rule::Euler => calls,
            Rule::Heun => calls.div_ceil(2),
        }
    }

    fn check(self) -> Result<(), MethodError> {
        let refuse = |setting, expected, got| {
            Err(MethodError::Setting {
                method: self.name(),
                setting,
                expected,
                got,
            })
        };
        if !(self.rho > 0.0 && self.rho.is_finite()) {
            return refuse("rho", "greater than 0", self.rho);
        }
        let Churn { s_churn, s_noise, .. } = self.churn;
        for (setting, got) in [("s_churn", s_churn), ("s_noise", s_noise)] {
            if !(got >= 0.0 && got.is_finite()) {
                return refuse(setting, "0 or greater", got);
            }
        }
        Ok(())
    }

    /// The time `t^` whose `sigma` is nearest to `sigma^`.
    fn churned_time(self, schedule: &Schedule, t: usize, num_steps: usize) -> usize {
        let sigma = schedule.noise_level(t);
        match self.churn.gamma(sigma, num_steps) {
            0.0 => t,
            gamma => schedule.nearest_time(sigma + gamma * sigma).max(t),
        }
    }

    /// `x^`: as noisy as time `t_hat` has it.
    fn churn(self, x: Array4<f32>, sigma: f64, sigma_hat: f64, rng: &mut dyn RngCore) -> Array4<f32> {
        if sigma_hat <= sigma {
            return x;
        }
        let (num_images, c, h, w) = x.dim();
        let spread = (sigma_hat.powi(2) - sigma.powi(2)).sqrt() * self.churn.s_noise;
        linear(1.0, &x, spread, &standard_normal(num_images, [c, h, w], rng))
    }
}

/// The slope `d = (x - D(x; sigma)) / sigma` of the flow at `x`, at time `t` on the way to `t_prev`.
fn slope(
    denoiser: &mut Denoiser<'_>,
    schedule: &Schedule,
    x: &Array4<f32>,
    (t, t_prev): (usize, usize),
) -> Result<Array4<f32>, MethodError> {
    let x_t = x * schedule.alpha_bar(t).sqrt() as f32;
    let denoised = denoiser.x0_hat(&x_t, t, t_prev)?;
    Ok((x - denoised) / schedule.noise_level(t) as f32)
}

/// `x + (sigma_next - sigma) d`.
fn along(x: &ArrayRef4<f32>, d: &ArrayRef4<f32>, sigma: f64, sigma_next: f64) -> Array4<f32> {
    linear(1.0, x, sigma_next - sigma, d)
}

impl Sampler for Edm {
    fn name(&self) -> &'static str {
        match (self.rule, self.churn.s_churn > 0.0) {
            (Rule::Euler, false) => "euler",
            (Rule::Euler, true) => "euler-churn",
            (Rule::Heun, false) => "heun",
            (Rule::Heun, true) => "heun-churn",
        }
    }

    fn title(&self) -> String {
        let rule = match self.rule {
            Rule::Euler => "EDM, Euler",
            Rule::Heun => "EDM, Heun",
        };
        if self.churn.s_churn > 0.0 {
            format!("{rule}, churned")
        } else {
            rule.to_owned()
        }
    }

    fn reference(&self) -> &'static str {
        "Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models, Algorithm 2"
    }

    fn settings(&self) -> String {
        let Churn {
            s_churn,
            s_min,
            s_max,
            s_noise,
        } = self.churn;
        let rho = self.rho;
        if s_churn == 0.0 {
            return format!("rho {rho}");
        }
        format!("rho {rho}, S_churn {s_churn} for sigma {s_min} to {s_max}, S_noise {s_noise}")
    }

    fn evaluations(&self, num_steps: usize) -> usize {
        match self.rule {
            Rule::Euler => num_steps,
            Rule::Heun => 2 * self.num_steps(num_steps) - 1,
        }
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
        stepping.steps(schedule)?;
        let num_steps = self.num_steps(stepping.num_steps);
        let steps = Spacing::Karras { rho: self.rho }.steps(schedule, num_steps)?;
        let denoiser = &mut Denoiser::new(model, observer, self.evaluations(stepping.num_steps));
        let mut x = standard_normal(num_images, model.image_shape(), rng);
        x /= schedule.alpha_bar(schedule.num_steps()).sqrt() as f32;
        for (i, &Step { t, t_prev, .. }) in steps.iter().enumerate() {
            let t_hat = self.churned_time(schedule, t, num_steps);
            let (sigma_hat, sigma_next) = (schedule.noise_level(t_hat), schedule.noise_level(t_prev));
            let x_hat = self.churn(x, schedule.noise_level(t), sigma_hat, rng);
            let d = slope(denoiser, schedule, &x_hat, (t_hat, t_prev))?;
            x = along(&x_hat, &d, sigma_hat, sigma_next);
            if let (Rule::Heun, Some(next)) = (self.rule, steps.get(i + 1)) {
                let d_next = slope(denoiser, schedule, &x, (next.t, next.t_prev))?;
                x = along(&x_hat, &linear(0.5, &d, 0.5, &d_next), sigma_hat, sigma_next);
            }
        }
        Ok(x)
    }
}
