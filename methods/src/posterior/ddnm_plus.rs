//! DDNM+: DDNM for noisy measurements, with time travel.

use diffusion::{Observer, Schedule, ScoreModel, forward_kernel};
use imaging::ForwardOperator;
use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::{normal_like, standard_normal};
use crate::posterior::data_term::check;
use crate::posterior::ddrm::{Ddrm, Measured};
use crate::posterior::walk::Walk;
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model (Wang et al. 2023), section 3.3 and appendix
/// I. For each singular value `s`, with `sigma_t^2 = 1 - alpha_bar_{t-1}` and `a = sqrt(alpha_bar_{t-1})`:
///
/// ```text
/// x_{0|t}' = x_{0|t} + V Lambda S^+ (U^T b - S V^T x_{0|t}),  lambda = min(1, sqrt(1 - eta^2) sigma_t s / (a sigma))
/// x_{t-1}  = a x_{0|t}' + V Phi V^T z
/// ```
///
/// with `Phi` such that the noise that comes with `b` and the added noise make `sigma_t` together (`eta sigma_t` where
/// `lambda < 1`); what is not measured goes on as in DDNM. Written out, that is the step of [`Ddrm`] with `eta_b = 1`,
/// which it is computed by. What it adds is time travel: each step is taken several times, in between the images go
/// back to the time `t` by the forward process, so that what is measured and what is made up come to fit each other.
/// The steps that are asked for are shared out: with 2 of each, half as many times are visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DdnmPlus {
    /// The part of the noise that is fresh, 0 to 1.
    pub eta: f64,
    /// How often each step is taken; counts as 1 at least.
    pub repeats: usize,
}

impl DdnmPlus {
    /// The authors' `eta`, and the repeats that served best on photographs kept for tuning, with 100 steps
    /// (`examples/posterior_sweep.rs`).
    pub const TUNED: Self = Self { eta: 0.85, repeats: 2 };
}

impl PosteriorMethod for DdnmPlus {
    fn name(&self) -> &'static str {
        "ddnm-plus"
    }

    fn title(&self) -> String {
        "DDNM+".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Wang et al. 2023, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, section 3.3"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::SingularValues]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("eta {}, each step {} times", self.eta, self.repeats.max(1)))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        Ok(Cost {
            evaluations: Stepping::new(num_steps).repeated_steps(schedule, self.repeats)?.len(),
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
        let steps = &stepping.repeated_steps(model.schedule(), self.repeats)?;
        let measured = Measured::new(problem)?;
        let noise = standard_normal(problem.b.dim().0, model.image_shape(), rng);
        let x_start = measured.start(&noise, steps[0].alpha_bar)?;
        let walk = Walk::new(model, problem, steps, observer);
        let (onwards, repeats) = (
            Ddrm {
                eta: self.eta,
                eta_b: 1.0,
            },
            self.repeats.max(1),
        );
        walk.run(x_start, &mut |now| {
            let x_prev = onwards.step(&measured, now, rng)?;
            if (now.index + 1) % repeats == 0 {
                return Ok(x_prev);
            }
            Ok(forward_kernel(&x_prev, &normal_like(&x_prev, rng), now.step.beta()))
        })
    }
}
