//! Diffusion posterior sampling: calls what the student writes in task 6.

use diffusion::{Observer, Schedule, ScoreModel, Step};
use imaging::{ForwardOperator, OperatorKind, Symmetry};
use ndarray::{Array4, Zip};
use rand::RngCore;
use task6_dps::{StepSize, dps, tuned};

use crate::error::MethodError;
use crate::needs::Need;
use crate::parts::Pass;
use crate::stepping::{Cost, Stepping};
use crate::{PosteriorMethod, Problem};

/// Task 6, with the `zeta` that its handout's sweep led to: the mean of some samples, each of some steps.
///
/// The mean of several samples comes near the posterior mean, which no single sample is: it has the smaller squared
/// error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dps {
    /// How many samples the mean is taken of, at least 1. They share the steps.
    samples: usize,
    /// How many times as many steps are taken, all samples together, as are asked for; at least 1.
    effort: usize,
    /// About how many times each sample visits, if it takes several gradients at each of them.
    times: Option<usize>,
    /// The `zeta` that is taken, over the tuned one.
    scale: f64,
}

impl Dps {
    /// One sample of the steps that are asked for.
    pub const ONE_SAMPLE: Self = Self {
        samples: 1,
        effort: 1,
        times: None,
        scale: 1.0,
    };
    /// One sample that visits only some 50 times, and goes down several gradients at each: 2 for 100 calls of the
    /// network, 5 for 250. Fewer steps add noise less often, and there is more to set each of them right.
    pub const FEW_TIMES: Self = Self {
        samples: 1,
        effort: 1,
        times: Some(50),
        scale: 1.0,
    };
    /// The mean of 4 samples, at the price of one (from 4 steps on: each sample takes one at least).
    pub const MEAN: Self = Self {
        samples: 4,
        effort: 1,
        times: None,
        scale: 1.0,
    };
    /// The same with 4 times the steps: as many for each sample as are asked for.
    pub const MEAN_LONG: Self = Self {
        samples: 4,
        effort: 4,
        times: None,
        scale: 1.0,
    };
    /// One sample at 4 times the price.
    pub const LONG: Self = Self {
        samples: 1,
        effort: 4,
        times: None,
        scale: 1.0,
    };

    /// The mean of `samples` samples, which take `effort` times as many steps together as are asked for; each of the
    /// two numbers counts as 1 at least.
    #[must_use]
    pub fn new(samples: usize, effort: usize) -> Self {
        Self {
            samples: samples.max(1),
            effort: effort.max(1),
            times: None,
            scale: 1.0,
        }
    }

    /// The same with its `zeta` times `scale`: for images of other sizes, with whose root the norm grows that it goes
    /// down the gradient of.
    #[must_use]
    pub const fn scaled(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    fn zeta(self, kind: OperatorKind, steps_of_each: usize) -> f64 {
        self.scale * tuned(kind, steps_of_each)
    }

    /// The steps of one sample: its share of those that are asked for, at least one and no more than the schedule has.
    fn steps_of_each(self, schedule: &Schedule, num_steps: usize) -> Result<usize, MethodError> {
        let asked = schedule.steps(num_steps)?.len();
        Ok((self.effort.saturating_mul(asked) / self.samples).clamp(1, schedule.num_steps()))
    }

    /// How many gradients are taken at each time, in so many steps.
    fn gradients(self, steps_of_each: usize) -> usize {
        self.times.map_or(1, |times| steps_of_each / times).max(1)
    }

    /// The steps of one sample, with a pause for each gradient that a time has more than one of.
    fn steps(self, schedule: &Schedule, stepping: Stepping) -> Result<Vec<Step>, MethodError> {
        let num_steps = self.steps_of_each(schedule, stepping.num_steps)?;
        let gradients = self.gradients(num_steps);
        let mut steps = Stepping { num_steps, ..stepping }.repeated_steps(schedule, gradients)?;
        for of_one_time in steps.chunks_mut(gradients) {
            for step in of_one_time.iter_mut().rev().skip(1) {
                *step = step.pause();
            }
        }
        Ok(steps)
    }
}

impl PosteriorMethod for Dps {
    fn name(&self) -> &'static str {
        match (self.samples, self.effort, self.times) {
            (_, _, Some(_)) => "dps-few-times",
            (1, 1, None) => "dps",
            (1, _, None) => "dps-long",
            (_, 1, None) => "dps-mean",
            _ => "dps-mean-long",
        }
    }

    fn title(&self) -> String {
        match (self.samples, self.effort) {
            _ if self.times.is_some() => "task 6, DPS, several gradients a time".to_owned(),
            (1, 1) => "task 6, DPS".to_owned(),
            (1, effort) => format!("task 6, DPS, {effort} x as many steps"),
            (samples, 1) => format!("task 6, mean of {samples} samples"),
            (samples, effort) => format!("task 6, mean of {samples} samples, {effort} x as many steps"),
        }
    }

    fn reference(&self) -> &'static str {
        "Chung et al. 2023, Diffusion Posterior Sampling for General Noisy Inverse Problems, Algorithm 1"
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Score, Need::Pullback, Need::Vjp]
    }

    fn settings(
        &self,
        operator: &dyn ForwardOperator,
        schedule: &Schedule,
        num_steps: usize,
    ) -> Result<String, MethodError> {
        let steps_of_each = self.steps_of_each(schedule, num_steps)?;
        let zeta = self.zeta(operator.kind(), steps_of_each);
        let samples = match self.samples {
            1 => "one sample".to_owned(),
            samples => format!("{samples} samples"),
        };
        let gradients = match self.gradients(steps_of_each) {
            1 => String::new(),
            gradients => format!(" at {} times", steps_of_each / gradients),
        };
        Ok(format!("{samples} of {steps_of_each} steps{gradients}, zeta {zeta}"))
    }

    fn cost(&self, _: &dyn ForwardOperator, schedule: &Schedule, num_steps: usize) -> Result<Cost, MethodError> {
        let evaluations = self.samples * self.steps(schedule, Stepping::new(num_steps))?.len();
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
        mut rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        let Problem { operator, b, .. } = *problem;
        let steps = self.steps(model.schedule(), stepping)?;
        let steps_of_each = self.steps_of_each(model.schedule(), stepping.num_steps)?;
        let step_size = StepSize::Normalised(self.zeta(operator.kind(), steps_of_each));
        let mut sample = |pass| {
            let mut observer = Pass::new(pass, self.samples, observer);
            dps(model, operator, b, step_size, &steps, &mut rng, &mut observer)
        };
        let first = sample(0)?;
        let mut sum = first.clone();
        for pass in 1..self.samples {
            add_alike(&mut sum, &sample(pass)?, &first, Symmetry::of(operator.kind()));
        }
        Ok(sum / self.samples as f32)
    }
}

/// Adds each image of `x`, the way round that is nearer to that of `first`: the mean of an image and the same turned is
/// neither.
fn add_alike(sum: &mut Array4<f32>, x: &Array4<f32>, first: &Array4<f32>, symmetry: Symmetry) {
    Zip::from(sum.outer_iter_mut())
        .and(x.outer_iter())
        .and(first.outer_iter())
        .for_each(|mut sum, x, first| sum += &symmetry.align(&x, &first));
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    #[test]
    fn the_mean_of_an_image_and_the_same_turned_is_the_image() {
        let first = Array4::from_shape_fn((2, 3, 4, 4), |(i, c, y, x)| (i + 2 * c + 3 * y + 5 * x) as f32);
        let mut turned = first.clone();
        let half_turn = first.slice(s![1, 2, ..;-1, ..;-1]).to_owned();
        turned.slice_mut(s![1, 2, .., ..]).assign(&half_turn);
        let mut sum = first.clone();
        add_alike(&mut sum, &turned, &first, Symmetry::HalfTurn);
        assert_eq!(sum / 2.0, first);
    }
}
