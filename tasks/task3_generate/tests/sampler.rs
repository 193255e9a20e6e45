//! Exercise 3.3: what the loop does, step by step, seen from the model and from the observer.

use std::sync::Mutex;

use checks::Check;
use diffusion::{
    GaussianModel, Observer, Pullback, Schedule, ScoreError, ScoreModel, Step, StepView, Trajectory, observe_with,
};
use ndarray::{Array1, Array4, Axis};
use rand::{SeedableRng, rngs::StdRng};
use task3_generate::{StepForm, sample};
use testing::step_noise::noise_scale;

const FORMS: [StepForm; 2] = [StepForm::Direct, StepForm::ThroughX0];
const SHAPE: [usize; 3] = [2, 8, 8];
const NUM_IMAGES: usize = 6;

/// A Gaussian prior that remembers what it was asked.
struct Recorder {
    prior: GaussianModel,
    asked: Mutex<Vec<(Array4<f32>, usize)>>,
}

impl Recorder {
    fn new() -> Self {
        let d = SHAPE.iter().product::<usize>();
        let mean = Array1::from_elem(d, 0.2);
        let variances = Array1::from_shape_fn(d, |i| 0.05 + 0.002 * i as f64);
        let prior = GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, variances).unwrap();
        Self {
            prior,
            asked: Mutex::default(),
        }
    }
}

impl ScoreModel for Recorder {
    fn image_shape(&self) -> [usize; 3] {
        self.prior.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.prior.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.asked.lock().unwrap().push((x_t.clone(), t));
        self.prior.score(x_t, t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.asked.lock().unwrap().push((x_t.clone(), t));
        self.prior.score_with_pullback(x_t, t)
    }
}

/// A run of the sampler, and all that was seen of it.
struct Run {
    steps: Vec<Step>,
    /// What the model was asked.
    asked: Vec<(Array4<f32>, usize)>,
    result: Array4<f32>,
}

fn run(num_steps: usize, form: StepForm, seed: u64, observer: &mut dyn Observer) -> Run {
    let model = Recorder::new();
    let steps = model.schedule().steps(num_steps).unwrap();
    let result = sample(
        &model,
        NUM_IMAGES,
        &steps,
        form,
        &mut StdRng::seed_from_u64(seed),
        observer,
    )
    .expect("neither the model nor the observer failed, so that the sampler should not either");
    let [c, h, w] = SHAPE;
    assert_eq!(
        result.shape(),
        [NUM_IMAGES, c, h, w],
        "sample should return an array [num_images, C, H, W]"
    );
    Run {
        steps,
        asked: model.asked.into_inner().unwrap(),
        result,
    }
}

fn mean_and_std(values: &Array4<f32>) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The cosine of the angle between two batches.
fn alignment(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    (a * b).sum() / ((a * a).sum() * (b * b).sum()).sqrt()
}

/// Whether all images of a batch are the same.
fn all_alike(batch: &Array4<f32>) -> bool {
    batch.outer_iter().all(|image| image == batch.index_axis(Axis(0), 0))
}

#[test]
fn one_call_of_the_model_per_step() {
    for form in FORMS {
        for num_steps in [1, 2, 20] {
            let calls = run(num_steps, form, 1, &mut ()).asked.len();
            let hint = match calls {
                0 => "the model was never asked".to_string(),
                _ if calls == 2 * num_steps => {
                    "twice per step: keep the score and use it for x0_hat and for the step".to_string()
                }
                _ if calls == num_steps * NUM_IMAGES => {
                    "once for each image: the model takes the whole batch at once".to_string()
                }
                _ if calls + 1 == num_steps => "one step is left out, the first or the last".to_string(),
                _ => "a call of the network is what takes the time: one per step".to_string(),
            };
            assert_eq!(
                calls, num_steps,
                "{calls} calls of the model for {num_steps} steps: {hint}"
            );
        }
    }
}

#[test]
fn the_model_is_asked_at_the_right_times() {
    for num_steps in [1000, 20] {
        let run = run(num_steps, StepForm::Direct, 1, &mut ());
        let asked: Vec<usize> = run.asked.iter().map(|(_, t)| *t).collect();
        let right: Vec<usize> = run.steps.iter().map(|s| s.t).collect();
        if asked == right {
            continue;
        }
        let previous: Vec<usize> = run.steps.iter().map(|s| s.t_prev).collect();
        let reversed: Vec<usize> = right.iter().rev().copied().collect();
        let counted: Vec<usize> = (1..=num_steps).rev().collect();
        let hint = if asked == reversed {
            "these are the right times in the wrong order: the way back starts at T, and `steps` is in that order already"
        } else if asked.iter().zip(&previous).all(|(a, p)| a == p || *p == 0) {
            "that is step.t_prev, where the step ends; the score is needed where it starts, at step.t"
        } else if asked.iter().zip(&right).all(|(a, t)| a + 1 == *t) {
            "every t is one too small: times run from T to 1, so that step.t needs no shift"
        } else if asked == counted {
            "that counts the steps; with fewer steps than T, times are skipped: use step.t"
        } else {
            "use step.t of each step, in the order of `steps`"
        };
        let head = |v: &[usize]| v.iter().take(5).map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
        panic!(
            "the model was asked at t = {}, ... instead of t = {}, ...: {hint}",
            head(&asked),
            head(&right)
        );
    }
}

#[test]
fn sampling_starts_from_standard_normal_noise() {
    let run = run(10, StepForm::Direct, 2, &mut ());
    let start = &run.asked[0].0;
    let (mean, std) = mean_and_std(start);
    // 768 values: the standard error of the mean is 0.036, of the standard deviation 0.026.
    let hint = if std == 0.0 {
        "all its values are the same: draw them with Array4::random_using"
    } else if (mean - 0.5).abs() < 0.1 && (std - 0.289).abs() < 0.05 {
        "it looks uniform on [0, 1]: use StandardNormal"
    } else if mean.abs() < 0.2 && (std - 0.577).abs() < 0.05 {
        "it looks uniform on [-1, 1]: use StandardNormal"
    } else {
        "it is N(0, I), without any scaling"
    };
    assert!(
        mean.abs() < 0.18 && (std - 1.0).abs() < 0.13,
        "x_T has mean {mean:.3} and standard deviation {std:.3}, expected 0 and 1: {hint}"
    );
    assert!(
        !all_alike(start),
        "all images of the batch start from the same noise, so they will all be alike"
    );
}

#[test]
fn each_step_adds_fresh_noise_but_the_last() {
    let prior = Recorder::new().prior;
    for form in FORMS {
        let run = run(50, form, 3, &mut ());
        let mut before: Option<Array4<f32>> = None;
        for (i, step) in run.steps.iter().enumerate() {
            let Some((x_t, _)) = run.asked.get(i) else {
                panic!("the model was asked {i} times for 50 steps")
            };
            let x_prev = run.asked.get(i + 1).map_or(&run.result, |(x, _)| x);
            let score = prior.score(x_t, step.t).unwrap();
            let mean = (x_t + &score * step.beta() as f32) / step.alpha.sqrt() as f32;
            let z = (x_prev - &mean) / noise_scale(step) as f32;
            let (z_mean, z_std) = mean_and_std(&z);
            let at = format!("at the step from t = {} to {}", step.t, step.t_prev);
            if step.is_last() {
                if x_prev == x_t {
                    panic!("{at}, the last one, x_t is returned as it is: the last step is left out");
                }
                assert!(
                    z_std > 0.5 || z.iter().all(|v| v.abs() < 1e-3),
                    "{at}, the last one, the result is not the mean of the step; compare it with the formula for z = 0"
                );
                assert!(
                    z_std < 0.5,
                    "{at}, the last one, noise is added (z has standard deviation {z_std:.2}): z = 0 there, \
                     step.is_last() tells"
                );
                continue;
            }
            if z_std < 1e-2 {
                panic!("{at} no noise is added: z = 0 at the last step only");
            }
            if (z_std - step.sigma).abs() < 0.1 * step.sigma {
                panic!("{at} the noise is scaled by the variance, sigma_t^2; it should be by sigma_t");
            }
            assert!(
                z_mean.abs() < 0.22 && (z_std - 1.0).abs() < 0.16,
                "{at} the noise that was added, over sigma_t, has mean {z_mean:.3} and standard deviation \
                 {z_std:.3} instead of 0 and 1: is z standard normal, and are the step functions (3.1, 3.2) right?"
            );
            let first = z.index_axis(Axis(0), 0);
            let same_for_all = z
                .outer_iter()
                .all(|image| image.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-2));
            assert!(
                !same_for_all,
                "{at} all images of the batch get the same z: draw it in the shape of the batch"
            );
            if let Some(before) = &before {
                let alike = alignment(&z, before);
                assert!(
                    alike.abs() < 0.3,
                    "{at} z is the same as in the step before (correlation {alike:.2}): draw a new z in each step"
                );
            }
            if i == 0 {
                let alike = alignment(&z, x_t);
                assert!(
                    alike.abs() < 0.3,
                    "{at} z is x_T again (correlation {alike:.2}): draw a new z"
                );
            }
            before = Some(z);
        }
    }
}

#[test]
fn the_observer_sees_every_step_in_order() {
    let mut seen: Vec<(usize, usize, Step)> = Vec::new();
    let mut trajectory = Trajectory::new(1000);
    let mut residuals = 0;
    let note = observe_with(|view: &StepView<'_>| {
        seen.push((view.index, view.num_steps, *view.step));
        residuals += usize::from(view.residual.is_some());
        Ok(())
    });
    let run = run(20, StepForm::ThroughX0, 4, &mut (note, &mut trajectory));
    assert_eq!(
        seen.len(),
        20,
        "the observer was called {} times for 20 steps: once per step",
        seen.len()
    );
    for (i, (index, num_steps, step)) in seen.iter().enumerate() {
        assert_eq!(
            *index, i,
            "the observer's `index` counts the steps from 0; at step {i} it is {index}"
        );
        assert_eq!(
            *num_steps, 20,
            "the observer's `num_steps` is the number of steps, {num_steps} is not 20"
        );
        assert_eq!(
            *step, run.steps[i],
            "the observer's `step` is not the step that is being taken"
        );
    }
    assert_eq!(residuals, 0, "there is no measurement here, so that `residual` is None");

    let prior = Recorder::new().prior;
    for (i, frame) in trajectory.frames().iter().enumerate() {
        let (x_t, t) = &run.asked[i];
        let next = run.asked.get(i + 1).map_or(&run.result, |(x, _)| x);
        let a = prior.schedule().alpha_bar(*t);
        let score = prior.score(x_t, *t).unwrap();
        let x0_hat = (x_t + &score * (1.0 - a) as f32) / a.sqrt() as f32;
        Check::new(format!("x_t that the observer saw at t = {t}"), x_t)
            .suspect(next, "it is x_{t-1}: show the observer the images from before the step")
            .suspect(&x0_hat, "it is x0_hat")
            .verify(&frame.x_t);
        Check::new(format!("x0_hat that the observer saw at t = {t}"), &x0_hat)
            .tolerance(1e-4)
            .formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t), from predict_x0")
            .suspect(x_t, "it is x_t")
            .suspect(next, "it is x_{t-1}, the result of the step")
            .suspect(&score, "it is the score")
            .suspect(
                &(&x0_hat * a.sqrt() as f32),
                "it is off by a factor of sqrt(alpha_bar_t): did you divide?",
            )
            .verify(&frame.x0_hat);
    }
}

#[test]
fn one_seed_gives_one_result() {
    for form in FORMS {
        let first = run(20, form, 5, &mut ()).result;
        assert!(
            first == run(20, form, 5, &mut ()).result,
            "two runs with the same seed differ: draw all noise from `rng`, none from elsewhere"
        );
        assert!(
            first != run(20, form, 6, &mut ()).result,
            "runs with different seeds are the same: draw the noise from the `rng` that is passed in"
        );
        assert!(!all_alike(&first), "all images of the batch are the same");
    }
}

#[test]
fn both_forms_give_the_same_images() {
    for num_steps in [1, 10, 200] {
        let direct = run(num_steps, StepForm::Direct, 7, &mut ());
        let through = run(num_steps, StepForm::ThroughX0, 7, &mut ());
        Check::new(
            format!("the result of {num_steps} steps through x0_hat"),
            &direct.result,
        )
        .tolerance(1e-4)
        .formula("the same seed gives the same images in both forms: see both_forms_agree in tests/formulas.rs")
        .verify(&through.result);
    }
}

#[test]
fn errors_are_handed_on() {
    let model = Recorder::new();
    let steps = model.schedule().steps(10).unwrap();
    let mut stop = observe_with(|view| {
        if view.index == 3 {
            Err(ScoreError::Interrupted)
        } else {
            Ok(())
        }
    });
    let result = sample(
        &model,
        2,
        &steps,
        StepForm::Direct,
        &mut StdRng::seed_from_u64(8),
        &mut stop,
    );
    assert!(
        matches!(result, Err(ScoreError::Interrupted)),
        "the observer's error (here: the user pressed Ctrl-C) should end the sampler and come back: use `?`"
    );
    let calls = model.asked.lock().unwrap().len();
    assert!(
        calls <= 4,
        "after the observer stopped it at step 3, the sampler went on, to {calls} calls of the model"
    );

    // A step that the model's schedule does not have.
    let foreign = Schedule::linear_with(2000, 1e-4, 0.02).unwrap().steps(4).unwrap();
    let result = sample(
        &model,
        2,
        &foreign,
        StepForm::ThroughX0,
        &mut StdRng::seed_from_u64(9),
        &mut (),
    );
    assert!(
        matches!(result, Err(ScoreError::Timestep { t: 2000, max: 1000 })),
        "the model's error should come back: use `?`"
    );
}
