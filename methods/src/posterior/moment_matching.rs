//! Moment matching: the likelihood of the measurement with mean and covariance of the clean image as Tweedie's formulas
//! give them.

use diffusion::{Observer, Pullback, Schedule, ScoreModel};
use imaging::ForwardOperator;
use ndarray::{Array4, ArrayRef4, ArrayView3, Axis};
use rand::RngCore;
use task3_generate::ddpm_step_direct;

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::normal_like;
use crate::posterior::data_term::check;
use crate::posterior::walk::{Moment, Walk};
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Moment matching (Daras et al. 2024, "A Survey on Diffusion Models for Inverse Problems", section 3.1; Boys et al.
/// 2023) by conjugate gradients, as Rozet et al. 2024, "Learning Diffusion Priors from Observations by Expectation
/// Maximization" (there called MMPS): with `p(x_0 | x_t)` taken for `N(x0_hat, V)`,
///
/// ```text
/// V             = (1 - alpha_bar_t) / sqrt(alpha_bar_t) d x0_hat / d x_t
/// u             = (sigma^2 I + A V A^T)^{-1} (b - A x0_hat)
/// score of b    = (d x0_hat / d x_t)^T A^T u
/// x_{t-1}       = the ancestral step with the sum of both scores
/// ```
///
/// Both moments are exact, and so is the score for a Gaussian prior. `u` comes from a few rounds of conjugate
/// gradients, `V` being as symmetric as the network's Jacobian should be. A round asks for one pullback, that of `A^T`
/// times its direction, which serves for the matrix product and for the result; as a pullback can be called once, it
/// asks for one call of the network as well. The steps that are asked for are shared out: with 2 rounds half as many
/// times are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MomentMatching {
    /// Rounds of conjugate gradients at each time; counts as 1 at least.
    pub rounds: usize,
}

impl MomentMatching {
    /// One round: at the price of DPS, and with no step size to be tuned.
    pub const ONE_ROUND: Self = Self { rounds: 1 };
}

/// Conjugate gradients for `u`, each image by itself, with the score that belongs to `u`.
struct Rounds {
    /// What `u` leaves of `b - A x0_hat`.
    left: Array4<f32>,
    direction: Array4<f32>,
    /// `(d x0_hat / d x_t)^T A^T u`, `[B, C, H, W]`.
    score: Array4<f32>,
}

impl Rounds {
    fn new(now: &Moment<'_>) -> Self {
        Self {
            left: now.residual.clone(),
            direction: now.residual.clone(),
            score: Array4::zeros(now.x_t.dim()),
        }
    }

    fn take(&mut self, problem: &Problem<'_>, now: &Moment<'_>, pullback: Pullback<'_>) -> Result<(), MethodError> {
        let back = now.back_to_x_t(problem, &self.direction, pullback)?;
        let to_v = (1.0 - now.step.alpha_bar) / now.step.alpha_bar.sqrt();
        // A V A^T p; A is linear, and apply would refuse nothing but a number out of all bounds.
        let spread = problem.operator.apply(&back)? * to_v as f32;
        let image = spread + &self.direction * problem.sigma.powi(2) as f32;
        let squares = dots(&self.left, &self.left);
        let curvatures = dots(&self.direction, &image);
        // A direction along which the network's Jacobian curves the wrong way teaches nothing.
        let lengths: Vec<f64> = squares
            .iter()
            .zip(&curvatures)
            .map(|(square, curvature)| if *curvature > 0.0 { square / curvature } else { 0.0 })
            .collect();
        add_scaled(&mut self.score, &lengths, &back);
        add_scaled(&mut self.left, &lengths.iter().map(|a| -a).collect::<Vec<_>>(), &image);
        let turns: Vec<f64> = dots(&self.left, &self.left)
            .iter()
            .zip(&squares)
            .map(|(next, square)| if *square > 0.0 { next / square } else { 0.0 })
            .collect();
        let mut direction = self.left.clone();
        add_scaled(&mut direction, &turns, &self.direction);
        self.direction = direction;
        Ok(())
    }
}

/// `<a, b>` of each image.
fn dots(a: &ArrayRef4<f32>, b: &ArrayRef4<f32>) -> Vec<f64> {
    let dot = |(a, b): (ArrayView3<'_, f32>, ArrayView3<'_, f32>)| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    a.outer_iter().zip(b.outer_iter()).map(dot).collect()
}

/// `a + factor b`, each image with its own factor.
fn add_scaled(a: &mut Array4<f32>, factors: &[f64], b: &Array4<f32>) {
    for ((mut a, &factor), b) in a.axis_iter_mut(Axis(0)).zip(factors).zip(b.outer_iter()) {
        a.scaled_add(factor as f32, &b);
    }
}

impl PosteriorMethod for MomentMatching {
    fn name(&self) -> &'static str {
        "moment-matching"
    }

    fn title(&self) -> String {
        match self.rounds.max(1) {
            1 => "moment matching".to_owned(),
            rounds => format!("moment matching, {rounds} rounds"),
        }
    }

    fn reference(&self) -> &'static str {
        "Rozet et al. 2024, Learning Diffusion Priors from Observations by Expectation Maximization"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Pullback, Need::Linear, Need::Vjp]
    }

    fn settings(&self, _: &dyn ForwardOperator, _: &Schedule, _: usize) -> Result<String, MethodError> {
        Ok(format!("{} rounds of conjugate gradients", self.rounds.max(1)))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        let evaluations = Stepping::new(num_steps).repeated_steps(schedule, self.rounds)?.len();
        Ok(Cost {
            evaluations,
            pullbacks: evaluations,
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
        let steps = &stepping.repeated_steps(model.schedule(), self.rounds)?;
        let walk = Walk::new(model, problem, steps, observer);
        let x_start = walk.noise(rng);
        let rounds = self.rounds.max(1);
        let mut begun = None;
        walk.run_with_pullback(x_start, &mut |now, pullback| {
            let known = begun.get_or_insert_with(|| Rounds::new(now));
            known.take(problem, now, pullback)?;
            if (now.index + 1) % rounds != 0 {
                return Ok(now.x_t.clone());
            }
            let score = now.score + &known.score;
            begun = None;
            Ok(ddpm_step_direct(now.x_t, &score, &normal_like(now.x_t, rng), now.step))
        })
    }
}
