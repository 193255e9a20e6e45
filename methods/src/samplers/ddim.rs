//! DDIM: the same network, and a family of ways down that ends where the noise of each step is none at all.

use diffusion::{Observer, ScoreModel, Step, StepVariance};
use ndarray::Array4;
use rand::RngCore;

use crate::Sampler;
use crate::error::MethodError;
use crate::parts::{Now, linear, noise_from_x0_hat, standard_normal, walk};
use crate::stepping::Stepping;

/// Denoising diffusion implicit models (Song, Meng and Ermon 2021), Eq. 12:
///
/// ```text
/// x_{t-1} = sqrt(alpha_bar_{t-1}) x0_hat + sqrt(1 - alpha_bar_{t-1} - sigma^2) eps_hat + sigma z
/// ```
///
/// with `eps_hat` the noise that `x0_hat` leaves in `x_t`, and `sigma` by Eq. 16: `eta` times the standard deviation of
/// `x_{t-1}` given `x_t` and `x_0`. `t - 1` is the next time that is visited.
///
/// [`Stepping::variance`] plays no part: `eta` decides on the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddim {
    /// From 0, where nothing is drawn after `x_T`, to 1, which is DDPM with [`StepVariance::Posterior`].
    pub eta: f64,
}

impl Ddim {
    /// `eta = 0`: a map from noise to images, without chance.
    pub const DETERMINISTIC: Self = Self { eta: 0.0 };

    fn sigma(self, step: &Step) -> f64 {
        self.eta * step.with_variance(StepVariance::Posterior).sigma
    }

    fn step(self, now: &Now<'_>, rng: &mut dyn RngCore) -> Array4<f32> {
        let sigma = self.sigma(now.step);
        let keep = now.step.alpha_bar_prev.sqrt();
        let direction = (1.0 - now.step.alpha_bar_prev - sigma.powi(2)).sqrt();
        let noise = noise_from_x0_hat(now.x_t, now.x0_hat, now.step);
        let x_prev = linear(keep, now.x0_hat, direction, &noise);
        if sigma == 0.0 {
            return x_prev;
        }
        x_prev + standard_normal(now.x_t.dim().into(), rng) * sigma as f32
    }
}

impl Sampler for Ddim {
    fn name(&self) -> &'static str {
        "ddim"
    }

    fn title(&self) -> String {
        if self.eta == 0.0 {
            "DDIM".to_owned()
        } else {
            format!("DDIM, eta {}", self.eta)
        }
    }

    fn reference(&self) -> &'static str {
        "Song et al. 2021, Denoising Diffusion Implicit Models, Eq. 12"
    }

    fn settings(&self) -> String {
        format!("eta {}", self.eta)
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
        if !(0.0..=1.0).contains(&self.eta) {
            return Err(MethodError::Setting {
                method: self.name(),
                setting: "eta",
                expected: "from 0 to 1",
                got: self.eta,
            });
        }
        let steps = model.schedule().steps(stepping.num_steps)?;
        let [c, h, w] = model.image_shape();
        let x_start = standard_normal([num_images, c, h, w], rng);
        walk(model, x_start, &steps, observer, &mut |now| Ok(self.step(now, rng)))
    }
}
