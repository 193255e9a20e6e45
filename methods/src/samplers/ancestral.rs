//! Ancestral sampling, the way of DDPM: calls what the student writes in task 3.

use diffusion::{Observer, ScoreModel};
use ndarray::Array4;
use rand::RngCore;
use task3_generate::{StepForm, sample};

use crate::Sampler;
use crate::error::MethodError;
use crate::stepping::Stepping;

/// The sampler of task 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestral {
    /// Which of the two equal forms of the step it takes.
    pub form: StepForm,
}

impl Ancestral {
    /// With the step that goes directly from the score.
    pub const DIRECT: Self = Self { form: StepForm::Direct };
}

impl Sampler for Ancestral {
    fn name(&self) -> &'static str {
        "ancestral"
    }

    fn title(&self) -> String {
        "task 3, ancestral sampling".to_owned()
    }

    fn reference(&self) -> &'static str {
        "Ho et al. 2020, Denoising Diffusion Probabilistic Models, Algorithm 2"
    }

    fn settings(&self) -> String {
        String::new()
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
        let steps = stepping.steps(model.schedule())?;
        Ok(sample(model, num_images, &steps, self.form, &mut rng, observer)?)
    }
}
