//! Ancestral sampling, the way of DDPM: calls what the student writes in task 3.

use diffusion::{Observer, ScoreModel, StepVariance};
use ndarray::Array4;
use rand::RngCore;
use task3_generate::{StepForm, sample};

use crate::Sampler;
use crate::error::MethodError;
use crate::stepping::Stepping;

/// The sampler of task 3: Ho, Jain and Abbeel 2020, Algorithm 2.
///
/// ```text
/// x_{t-1} = (x_t + (1 - alpha_t) s(x_t, t)) / sqrt(alpha_t) + sigma_t z
/// ```
///
/// with either choice of `sigma_t` of the paper's section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestral {
    /// Which of the two equal forms of the step it takes.
    pub form: StepForm,
    /// The noise of a step; none leaves it to [`Stepping::variance`].
    pub variance: Option<StepVariance>,
}

impl Ancestral {
    /// With the step that goes directly from the score.
    pub const DIRECT: Self = Self {
        form: StepForm::Direct,
        variance: None,
    };
    /// With the lecture's variance, whatever the number of steps.
    pub const BETA: Self = Self {
        variance: Some(StepVariance::Beta),
        ..Self::DIRECT
    };
    /// With the posterior variance, whatever the number of steps.
    pub const POSTERIOR: Self = Self {
        variance: Some(StepVariance::Posterior),
        ..Self::DIRECT
    };
}

impl Sampler for Ancestral {
    fn name(&self) -> &'static str {
        match self.variance {
            None => "ancestral",
            Some(StepVariance::Beta) => "ancestral-beta",
            Some(StepVariance::Posterior) => "ancestral-posterior",
        }
    }

    fn title(&self) -> String {
        match self.variance {
            None => "task 3, ancestral sampling".to_owned(),
            Some(StepVariance::Beta) => "ancestral, sigma^2 = beta".to_owned(),
            Some(StepVariance::Posterior) => "ancestral, posterior variance".to_owned(),
        }
    }

    fn reference(&self) -> &'static str {
        "Ho et al. 2020, Denoising Diffusion Probabilistic Models, Algorithm 2"
    }

    fn settings(&self) -> String {
        match self.variance {
            None => String::new(),
            Some(variance) => format!("{variance:?}"),
        }
    }

    fn evaluations(&self, num_steps: usize) -> usize {
        num_steps
    }

    fn sample(
        &self,
        model: &dyn ScoreModel,
        num_images: usize,
        stepping: Stepping,
        mut rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        let variance = self.variance.or(stepping.variance);
        let steps = Stepping { variance, ..stepping }.steps(model.schedule())?;
        Ok(sample(model, num_images, &steps, self.form, &mut rng, observer)?)
    }
}
