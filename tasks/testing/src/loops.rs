//! What every sampler's loop has to do, seen from outside.

use diffusion::{Observer, Schedule, ScoreError, ScoreModel, Step, observe_with};
use ndarray::Array4;

use crate::arrays::{alignment, all_alike, mean_and_std};
use crate::run::{NUM_IMAGES, Run};

/// The model is asked once per step.
///
/// # Panics
///
/// If it was not, with what may be the reason.
#[track_caller]
pub fn check_calls(run: &Run) {
    let (calls, num_steps) = (run.asked.len(), run.steps.len());
    let hint = if calls == 0 {
        "the model was never asked"
    } else if calls == 2 * num_steps {
        "twice per step: keep the score and use it for x0_hat and for the step"
    } else if calls == num_steps * NUM_IMAGES {
        "once for each image: the model takes the whole batch at once"
    } else if calls + 1 == num_steps {
        "one step is left out, the first or the last"
    } else {
        "a call of the network is what takes the time: one per step"
    };
    assert_eq!(
        calls, num_steps,
        "{calls} calls of the model for {num_steps} steps: {hint}"
    );
}

/// The model is asked at `step.t` of each step.
///
/// # Panics
///
/// If it was not, with what may be the reason.
#[track_caller]
pub fn check_times(run: &Run) {
    let asked: Vec<usize> = run.asked.iter().map(|(_, t)| *t).collect();
    let right: Vec<usize> = run.steps.iter().map(|step| step.t).collect();
    if asked == right {
        return;
    }
    let ends_there = |(t, step): (&usize, &Step)| *t == step.t_prev || step.is_last();
    let hint = if asked.iter().eq(right.iter().rev()) {
        "these are the right times in the wrong order: the way back goes down in time, and `steps` is in that order \
         already"
    } else if asked.first() == Some(&run.prior.schedule().num_steps()) && right.first() != asked.first() {
        "the way back starts at t0, not at T: take the times from `steps`"
    } else if asked.iter().zip(&run.steps).all(ends_there) {
        "that is step.t_prev, where the step ends; the score is needed where it starts, at step.t"
    } else if asked.iter().zip(&right).all(|(asked, right)| asked + 1 == *right) {
        "every t is one too small: times run from T to 1, so that step.t needs no shift"
    } else if asked.iter().copied().eq((1..=right.len()).rev()) {
        "that counts the steps; with fewer steps than T, times are skipped: use step.t"
    } else {
        "use step.t of each step, in the order of `steps`"
    };
    let head = |times: &[usize]| {
        times
            .iter()
            .take(5)
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    panic!(
        "the model was asked at t = {}, ... instead of t = {}, ...: {hint}",
        head(&asked),
        head(&right)
    );
}

/// The sampler starts from standard normal noise, another for each image. `lookalikes` are what it may start from
/// instead, and what to say then.
///
/// # Panics
///
/// If it does not, with what may be the reason.
#[track_caller]
pub fn check_start(run: &Run, lookalikes: &[(Array4<f32>, &str)]) {
    let (start, _) = run.around(0);
    let (mean, std) = mean_and_std(start);
    let looks_like = lookalikes.iter().find(|(other, _)| alignment(start, other) > 0.9);
    let within = |low: f32, high: f32| start.iter().all(|value| (low..=high).contains(value));
    let hint = if std == 0.0 {
        "all its values are the same: draw them with Array4::random_using"
    } else if let Some((_, because)) = looks_like {
        because
    } else if within(0.0, 1.0) && (mean - 0.5).abs() < 0.1 && (std - 0.289).abs() < 0.05 {
        "it looks uniform on [0, 1]: use StandardNormal"
    } else if within(-1.0, 1.0) && mean.abs() < 0.2 && (std - 0.577).abs() < 0.05 {
        "it looks uniform on [-1, 1]: use StandardNormal"
    } else {
        "it is N(0, I), without any scaling"
    };
    // 768 values: the standard error of the mean is 0.036, of the standard deviation 0.026.
    assert!(
        mean.abs() < 0.18 && (std - 1.0).abs() < 0.13,
        "x_T has mean {mean:.3} and standard deviation {std:.3}, expected 0 and 1: {hint}"
    );
    assert!(
        !all_alike(start, 0.0),
        "all images of the batch start from the same noise, so they will all be alike"
    );
}

/// What a step is called in messages.
#[must_use]
pub fn at(step: &Step) -> String {
    format!("at the step from t = {} to {}", step.t, step.t_prev)
}

/// What is left of the last step after its mean is nothing, if `z` was 0 there.
///
/// - `z`: what is left, over [`noise_scale`](crate::step_noise::noise_scale)
///
/// # Panics
///
/// If it is something, with what may be the reason.
#[track_caller]
pub fn check_last_step(step: &Step, x_t: &Array4<f32>, x_prev: &Array4<f32>, z: &Array4<f32>) {
    let (at, (_, z_std)) = (at(step), mean_and_std(z));
    assert!(
        x_prev != x_t,
        "{at}, the last one, x_t is returned as it is: the last step is left out"
    );
    assert!(
        z_std > 0.5 || z.iter().all(|v| v.abs() < 1e-3),
        "{at}, the last one, the result is not the mean of the step; compare it with the formula for z = 0"
    );
    assert!(
        z_std < 0.5,
        "{at}, the last one, noise is added (z has standard deviation {z_std:.2}): z = 0 there, step.is_last() tells"
    );
}

/// Every step but the last adds noise, drawn anew each time and for each image.
pub struct FreshNoise {
    before: Array4<f32>,
    what: &'static str,
}

impl FreshNoise {
    /// - `start`: the noise that the sampler has begun with, and what to call it: "x_T again"
    #[must_use]
    pub fn new(start: Array4<f32>, what: &'static str) -> Self {
        Self { before: start, what }
    }

    /// Looks at the noise `z` of the next step; `why` says what may be the reason if it is not standard normal.
    ///
    /// # Panics
    ///
    /// If it is not as it should be, with what may be the reason.
    #[track_caller]
    pub fn check(&mut self, step: &Step, z: Array4<f32>, why: impl Fn() -> String) {
        let (at, (mean, std)) = (at(step), mean_and_std(&z));
        assert!(std > 1e-2, "{at} no noise is added: z = 0 at the last step only");
        let why = || {
            if (std - step.sigma).abs() < 0.1 * step.sigma {
                "the noise is scaled by the variance, sigma_t^2; it should be by sigma_t".to_owned()
            } else {
                why()
            }
        };
        // 768 values: six standard errors of the mean and of the standard deviation.
        assert!(
            mean.abs() < 0.22 && (std - 1.0).abs() < 0.16,
            "{at} the noise that was added, over sigma_t, has mean {mean:.3} and standard deviation {std:.3} instead \
             of 0 and 1: {}",
            why()
        );
        assert!(
            !all_alike(&z, 1e-2),
            "{at} all images of the batch get the same z: draw it in the shape of the batch"
        );
        let alike = alignment(&z, &self.before);
        assert!(
            alike.abs() < 0.3,
            "{at} z is {} (correlation {alike:.2}): draw a new z",
            self.what
        );
        (self.before, self.what) = (z, "the same as in the step before");
    }
}

/// An observer that interrupts the sampler at step number `index`.
#[must_use]
pub fn stop_at(index: usize) -> impl Observer {
    observe_with(move |view| {
        if view.index == index {
            Err(ScoreError::Interrupted)
        } else {
            Ok(())
        }
    })
}

/// Steps of another schedule, of which the [`prior`](crate::run::prior) knows not even the first time.
///
/// # Panics
///
/// Does not: the schedule has these steps.
#[must_use]
pub fn foreign_steps() -> Vec<Step> {
    let schedule = Schedule::linear_with(2000, 1e-4, 0.02).expect("betas between 0 and 1");
    schedule.steps(4).expect("fewer steps than times")
}

/// An observer's error at step number 3 ended the sampler, which has called the model so often.
///
/// # Panics
///
/// If it went on, or another error came back.
#[track_caller]
pub fn check_stopped(error: Option<&ScoreError>, calls: usize) {
    assert!(
        matches!(error, Some(ScoreError::Interrupted)),
        "the observer's error (here: the user pressed Ctrl-C) should end the sampler and come back as it is: use `?`"
    );
    assert!(
        calls <= 4,
        "after the observer stopped it at step 3, the sampler went on, to {calls} calls of the model"
    );
}

/// The model's own error came back for [`foreign_steps`].
///
/// # Panics
///
/// If it did not.
#[track_caller]
pub fn check_foreign(error: Option<&ScoreError>) {
    assert!(
        matches!(error, Some(ScoreError::Timestep { t: 2000, max: 1000 })),
        "the model's error should come back: use `?`"
    );
}

/// The same seed gives the same result to the bit, another seed another one.
///
/// # Panics
///
/// If not.
#[track_caller]
pub fn check_seeds(result: impl Fn(u64) -> Array4<f32>) {
    let first = result(5);
    assert!(
        first == result(5),
        "two runs with the same seed differ: draw all noise from `rng`, none from elsewhere"
    );
    assert!(
        first != result(6),
        "runs with different seeds are the same: draw the noise from the `rng` that is passed in"
    );
    assert!(!all_alike(&first, 0.0), "all images of the batch are the same");
}
