//! What an observer has to see.

use checks::Check;
use diffusion::{Observer, ScoreError, Step, StepView};
use ndarray::Array4;

use crate::run::Run;
use crate::tweedie::x0_hat;

/// What an observer has seen of one step.
pub struct Seen {
    /// `index` of the view.
    pub index: usize,
    /// `num_steps` of the view.
    pub num_steps: usize,
    /// `step` of the view.
    pub step: Step,
    /// `[B, C, H, W]`.
    pub x_t: Array4<f32>,
    /// `[B, C, H, W]`.
    pub x0_hat: Array4<f32>,
    /// One number for each image.
    pub residual: Option<Vec<f32>>,
}

/// An observer that keeps all it sees.
#[derive(Default)]
pub struct Watch {
    /// Step by step.
    pub seen: Vec<Seen>,
}

impl Observer for Watch {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.seen.push(Seen {
            index: view.index,
            num_steps: view.num_steps,
            step: *view.step,
            x_t: view.x_t.clone(),
            x0_hat: view.x0_hat.clone(),
            residual: view.residual.map(<[f32]>::to_vec),
        });
        Ok(())
    }
}

impl Watch {
    /// It was called once per step, with the step, its index, and how many there are.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    pub fn check_order(&self, steps: &[Step]) {
        let (calls, count) = (self.seen.len(), steps.len());
        assert_eq!(
            calls, count,
            "the observer was called {calls} times for {count} steps: once per step"
        );
        for (i, (seen, step)) in self.seen.iter().zip(steps).enumerate() {
            assert_eq!(
                seen.index, i,
                "the observer's `index` counts the steps from 0; at step {i} it is {}",
                seen.index
            );
            assert_eq!(
                seen.num_steps, count,
                "the observer's `num_steps` is the number of steps, {} is not {count}",
                seen.num_steps
            );
            assert_eq!(
                seen.step, *step,
                "the observer's `step` is not the step that is being taken"
            );
        }
    }

    /// It saw `x_t` from before each step, and the `x0_hat` that belongs to it.
    ///
    /// # Panics
    ///
    /// If not, with what may be the reason.
    #[track_caller]
    pub fn check_images(&self, run: &Run) {
        for (i, seen) in self.seen.iter().enumerate() {
            let ((x_t, next), score) = (run.around(i), run.score(i));
            let (t, a) = (seen.step.t, seen.step.alpha_bar);
            let expected = x0_hat(x_t, &score, a);
            Check::new(format!("x_t that the observer saw at t = {t}"), x_t)
                .suspect(next, "it is x_{t-1}: show the observer the images from before the step")
                .suspect(&expected, "it is x0_hat")
                .verify(&seen.x_t);
            Check::new(format!("x0_hat that the observer saw at t = {t}"), &expected)
                // x_t is known to about 1e-7, which 1 / sqrt(alpha_bar) magnifies.
                .tolerance(f64::max(1e-4, 2e-6 / a.sqrt()))
                .formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t), from predict_x0")
                .suspect(x_t, "it is x_t")
                .suspect(next, "it is x_{t-1}, the result of the step")
                .suspect(&score, "it is the score")
                .suspect(
                    &(&expected * a.sqrt() as f32),
                    "it is off by a factor of sqrt(alpha_bar_t): did you divide?",
                )
                .verify(&seen.x0_hat);
        }
    }

    /// It saw no residual, as there is no measurement.
    ///
    /// # Panics
    ///
    /// If it did.
    #[track_caller]
    pub fn check_no_residual(&self) {
        assert!(
            self.seen.iter().all(|seen| seen.residual.is_none()),
            "there is no measurement here, so that `residual` is None"
        );
    }
}
