//! Exercises 4.3 and 4.4: what the loop does, step by step, seen from the model and from the observer.

mod common;

use std::sync::Mutex;

use checks::Check;
use common::{BATCH, guide, prior};
use diffusion::{
    CountingModel, GaussianModel, Observer, Pullback, Schedule, ScoreError, ScoreModel, Step, StepView, Trajectory,
    observe_with,
};
use ndarray::{Array2, Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};
use task4_sdedit::{sdedit, steps_from};
use testing::step_noise::noise_scale;

/// A Gaussian prior that remembers what it was asked.
struct Recorder {
    prior: GaussianModel,
    asked: Mutex<Vec<(Array4<f32>, usize)>>,
}

impl Recorder {
    fn new() -> Self {
        Self {
            prior: prior(),
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

/// One where the lower right may change, and neither symmetric nor half full.
fn mask() -> Array2<f32> {
    Array2::from_shape_fn((8, 8), |(y, x)| if 2 * y + x > 9 { 1.0 } else { 0.0 })
}

/// A run of the sampler, and all that was seen of it.
struct Run {
    steps: Vec<Step>,
    /// What the model was asked.
    asked: Vec<(Array4<f32>, usize)>,
    result: Array4<f32>,
}

impl Run {
    /// Where step `i` started, and where it led to.
    fn around(&self, i: usize) -> (&Array4<f32>, &Array4<f32>) {
        let Some((x_t, _)) = self.asked.get(i) else {
            panic!("the model was asked {i} times only, for {} steps", self.steps.len())
        };
        (x_t, self.asked.get(i + 1).map_or(&self.result, |(x, _)| x))
    }
}

fn run(t0: usize, num_steps: usize, mask: Option<&Array2<f32>>, seed: u64, observer: &mut dyn Observer) -> Run {
    let model = Recorder::new();
    let steps = model.schedule().steps_from(t0, num_steps).unwrap();
    let rng = &mut StdRng::seed_from_u64(seed);
    let result = sdedit(&model, &guide(), mask, &steps, rng, observer)
        .expect("neither the model nor the observer failed, so that sdedit should not either");
    assert_eq!(
        result.dim(),
        BATCH,
        "sdedit should return an array of the guide's shape"
    );
    Run {
        steps,
        asked: model.asked.into_inner().unwrap(),
        result,
    }
}

fn mean_and_std(values: &[f32]) -> (f64, f64) {
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
    batch.outer_iter().all(|image| {
        image
            .iter()
            .zip(&batch.index_axis(Axis(0), 0))
            .all(|(a, b)| (a - b).abs() < 1e-2)
    })
}

/// The noise `eps` in `x_t = sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps`.
fn noise_on(x_t: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t - guide() * alpha_bar.sqrt() as f32) / (1.0 - alpha_bar).sqrt() as f32
}

#[test]
fn exercise_4_3_one_score_per_step_and_no_pullback() {
    for num_steps in [1, 2, 20] {
        let model = CountingModel::new(prior());
        let steps = model.schedule().steps_from(400, num_steps).unwrap();
        sdedit(&model, &guide(), None, &steps, &mut StdRng::seed_from_u64(1), &mut ()).unwrap();
        let calls = model.forwards();
        let hint = match calls {
            0 => "the model was never asked".to_string(),
            _ if calls == 2 * num_steps => {
                "twice per step: keep the score and use it for x0_hat and for the step".to_string()
            }
            _ if calls == num_steps * BATCH.0 => {
                "once for each image: the model takes the whole batch at once".to_string()
            }
            _ if calls + 1 == num_steps => "one step is left out, the first or the last".to_string(),
            _ => "a call of the network is what takes the time: one per step".to_string(),
        };
        assert_eq!(
            calls, num_steps,
            "{calls} calls of the model for {num_steps} steps: {hint}"
        );
        assert_eq!(
            model.backwards(),
            0,
            "the pullback was called: SDEdit needs the score alone, model.score"
        );
    }
}

#[test]
fn exercise_4_3_the_model_is_asked_at_the_right_times() {
    for (t0, num_steps) in [(1000, 1000), (400, 400), (400, 20)] {
        let run = run(t0, num_steps, None, 1, &mut ());
        let asked: Vec<usize> = run.asked.iter().map(|(_, t)| *t).collect();
        let right: Vec<usize> = run.steps.iter().map(|s| s.t).collect();
        if asked == right {
            continue;
        }
        let hint = if asked.iter().eq(right.iter().rev()) {
            "these are the right times in the wrong order: the way back starts at t0, and `steps` is in that order already"
        } else if asked.first() == Some(&1000) {
            "the way back starts at t0, not at T: take the times from `steps`"
        } else if asked
            .iter()
            .zip(&run.steps)
            .all(|(a, s)| *a == s.t_prev || s.t_prev == 0)
        {
            "that is step.t_prev, where the step ends; the score is needed where it starts, at step.t"
        } else if asked.iter().copied().eq((1..=num_steps).rev()) {
            "that counts the steps; where times are skipped that is something else: use step.t"
        } else {
            "use step.t of each step, in the order of `steps`"
        };
        let head = |v: &[usize]| v.iter().take(5).map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
        panic!(
            "for t0 = {t0} the model was asked at t = {}, ... instead of t = {}, ...: {hint}",
            head(&asked),
            head(&right)
        );
    }
}

#[test]
fn exercise_4_3_it_starts_from_the_noised_guide() {
    let seed = 2;
    let run = run(400, 10, None, seed, &mut ());
    let first = run.steps[0];
    let Some((start, _)) = run.asked.first() else {
        panic!("the model was never asked")
    };
    let eps = Array4::random_using(BATCH, StandardNormal, &mut StdRng::seed_from_u64(seed));
    let with = |a: f64| guide() * a.sqrt() as f32 + &eps * (1.0 - a).sqrt() as f32;
    let last = run.steps[run.steps.len() - 1];
    let expected = with(first.alpha_bar);
    Check::new("x_t that the model is asked about first", &expected)
        .formula("x_{t0} = noise_guide(guide, eps, steps[0].alpha_bar), eps being what is drawn first from `rng`")
        .suspect(&eps, "it is eps alone, as in task 3: noise the guide with it")
        .suspect(&guide(), "it is the guide without any noise: noise it first")
        .suspect(
            &with(first.alpha_bar_prev),
            "alpha_bar_prev of the first step is used, where that step ends; the guide is noised to where it starts, \
             steps[0].alpha_bar",
        )
        .suspect(
            &with(first.alpha),
            "alpha_t of the first step is used where alpha_bar_t belongs",
        )
        .suspect(
            &with(last.alpha_bar),
            "the guide is noised to where the last step starts; the first of `steps` is the noisiest",
        )
        .suspect(
            &with(Schedule::linear().alpha_bar(1000)),
            "the guide is noised to the time T; it is to be noised to t0, steps[0].alpha_bar",
        )
        .verify(start);
}

#[test]
fn exercise_4_3_each_step_adds_fresh_noise_but_the_last() {
    let prior = prior();
    let run = run(700, 50, None, 3, &mut ());
    let mut before: Option<Array4<f32>> = None;
    for (i, step) in run.steps.iter().enumerate() {
        let (x_t, x_prev) = run.around(i);
        let score = prior.score(x_t, step.t).unwrap();
        let mean = (x_t + &score * step.beta() as f32) / step.alpha.sqrt() as f32;
        let z = (x_prev - &mean) / noise_scale(step) as f32;
        let (z_mean, z_std) = mean_and_std(z.as_slice().unwrap());
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
                "{at}, the last one, noise is added (z has standard deviation {z_std:.2}): z = 0 there, step.is_last() tells"
            );
            continue;
        }
        assert!(z_std > 1e-2, "{at} no noise is added: z = 0 at the last step only");
        // 768 values: the standard error of the mean is 0.036, of the standard deviation 0.026.
        assert!(
            z_mean.abs() < 0.22 && (z_std - 1.0).abs() < 0.16,
            "{at} the noise that was added, over sigma_t, has mean {z_mean:.3} and standard deviation {z_std:.3} \
             instead of 0 and 1: is z standard normal, and is reverse_step (4.2) right?"
        );
        assert!(
            !all_alike(&z),
            "{at} all images of the batch get the same z: draw it in the shape of the batch"
        );
        if let Some(before) = &before {
            let alike = alignment(&z, before);
            assert!(
                alike.abs() < 0.3,
                "{at} z is the same as in the step before (correlation {alike:.2}): draw a new z in each step"
            );
        } else {
            let alike = alignment(&z, &noise_on(x_t, step.alpha_bar));
            assert!(
                alike.abs() < 0.3,
                "{at} z is the eps of the guide again (correlation {alike:.2}): draw a new z"
            );
        }
        before = Some(z);
    }
}

#[test]
fn exercise_4_3_random_numbers_are_drawn_in_the_order_of_the_docs() {
    let prior = prior();
    let seed = 11;
    for mask in [None, Some(mask())] {
        let run = run(300, 3, mask.as_ref(), seed, &mut ());
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut draw = || Array4::<f32>::random_using(BATCH, StandardNormal, rng);
        let noised = |eps: &Array4<f32>, a: f64| guide() * a.sqrt() as f32 + eps * (1.0 - a).sqrt() as f32;
        let mut x_t = noised(&draw(), run.steps[0].alpha_bar);
        for step in &run.steps {
            let score = prior.score(&x_t, step.t).unwrap();
            x_t = (&x_t + &score * step.beta() as f32) / step.alpha.sqrt() as f32;
            if !step.is_last() {
                x_t = x_t + draw() * step.sigma as f32;
            }
            if let Some(mask) = &mask {
                x_t = x_t * mask + noised(&draw(), step.alpha_bar_prev) * (1.0 - mask);
            }
        }
        let with = if mask.is_some() {
            "with a mask"
        } else {
            "without a mask"
        };
        Check::new(format!("the result of three steps {with}"), &x_t)
            .tolerance(1e-4)
            .formula(
                "draw eps of the guide first; in each step z (none in the last one), then, with a mask, the eps of what \
                 is put back. If all other tests pass, it is the order",
            )
            .verify(&run.result);
    }
}

#[test]
fn exercise_4_3_the_observer_sees_every_step_in_order() {
    let mut seen: Vec<(usize, usize, Step)> = Vec::new();
    let mut trajectory = Trajectory::new(1000);
    let mut residuals = 0;
    let note = observe_with(|view: &StepView<'_>| {
        seen.push((view.index, view.num_steps, *view.step));
        residuals += usize::from(view.residual.is_some());
        Ok(())
    });
    let run = run(500, 20, None, 4, &mut (note, &mut trajectory));
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

    let prior = prior();
    for (i, frame) in trajectory.frames().iter().enumerate() {
        let (x_t, next) = run.around(i);
        let (t, a) = (frame.step.t, frame.step.alpha_bar);
        let score = prior.score(x_t, t).unwrap();
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
            .verify(&frame.x0_hat);
    }
}

#[test]
fn exercise_4_3_one_seed_gives_one_result() {
    for mask in [None, Some(mask())] {
        let first = run(500, 20, mask.as_ref(), 5, &mut ()).result;
        assert!(
            first == run(500, 20, mask.as_ref(), 5, &mut ()).result,
            "two runs with the same seed differ: draw all noise from `rng`, none from elsewhere"
        );
        assert!(
            first != run(500, 20, mask.as_ref(), 6, &mut ()).result,
            "runs with different seeds are the same: draw the noise from the `rng` that is passed in"
        );
    }
}

#[test]
fn exercise_4_3_errors_are_handed_on() {
    let model = Recorder::new();
    let steps = model.schedule().steps_from(300, 10).unwrap();
    let mut stop = observe_with(|view| {
        if view.index == 3 {
            Err(ScoreError::Interrupted)
        } else {
            Ok(())
        }
    });
    let rng = &mut StdRng::seed_from_u64(8);
    let error = sdedit(&model, &guide(), None, &steps, rng, &mut stop).err();
    assert!(
        matches!(
            error.as_ref().and_then(|e| e.downcast_ref()),
            Some(ScoreError::Interrupted)
        ),
        "the observer's error (here: the user pressed Ctrl-C) should end the sampler and come back: use `?`"
    );
    let calls = model.asked.lock().unwrap().len();
    assert!(
        calls <= 4,
        "after the observer stopped it at step 3, the sampler went on, to {calls} calls of the model"
    );

    let foreign = Schedule::linear_with(2000, 1e-4, 0.02).unwrap().steps(4).unwrap();
    let error = sdedit(&model, &guide(), None, &foreign, rng, &mut ()).err();
    assert!(
        matches!(
            error.as_ref().and_then(|e| e.downcast_ref()),
            Some(ScoreError::Timestep { t: 2000, max: 1000 })
        ),
        "the model's error should come back: use `?`"
    );
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_the_shapes() {
    let model = prior();
    let steps = model.schedule().steps_from(300, 2).unwrap();
    let try_mask = |mask: Array2<f32>| {
        let rng = &mut StdRng::seed_from_u64(1);
        sdedit(&model, &guide(), Some(&mask), &steps, rng, &mut ())
            .map_or_else(|error| error.to_string(), |_| "accepted".into())
    };
    let said = try_mask(Array2::ones((8, 7)));
    assert!(said.contains("[8, 7]") && said.contains("[8, 8]"), "{said}");
    let mut grey = Array2::ones((8, 8));
    grey[[2, 5]] = 0.5;
    let said = try_mask(grey);
    assert!(said.contains("0.5 at [2, 5]"), "{said}");
}

#[test]
fn exercise_4_4_with_a_mask_the_outside_stays_what_the_guide_is() {
    let mask = mask();
    let run = run(600, 30, Some(&mask), 6, &mut ());
    let outside = |batch: &Array4<f32>| -> Vec<f32> {
        let pairs = batch.indexed_iter();
        pairs
            .filter(|((_, _, y, x), _)| mask[[*y, *x]] == 0.0)
            .map(|(_, v)| *v)
            .collect()
    };
    for (i, step) in run.steps.iter().enumerate().take(run.steps.len() - 1) {
        let (x_t, next) = run.around(i);
        let at = format!("after the step from t = {} to {}", step.t, step.t_prev);
        let values = outside(&noise_on(next, step.alpha_bar_prev));
        let (mean, std) = mean_and_std(&values);
        // 276 values: standard errors 0.06 and 0.04.
        if mean.abs() < 0.35 && (std - 1.0).abs() < 0.25 {
            let fresh = |noise: Array4<f32>| noise * (1.0 - &mask);
            let alike = alignment(
                &fresh(noise_on(next, step.alpha_bar_prev)),
                &fresh(noise_on(x_t, step.alpha_bar)),
            );
            assert!(
                alike.abs() < 0.4,
                "{at}, outside of the mask, the noise is the same as before it (correlation {alike:.2}): draw a new eps in \
                 each step"
            );
            continue;
        }
        let looks_right_at = |a: f64| {
            let (mean, std) = mean_and_std(&outside(&noise_on(next, a)));
            mean.abs() < 0.1 && (std - 1.0).abs() < 0.05
        };
        let hint = if outside(next) == outside(&guide()) {
            "it is the clean guide: it needs the noise of this time, alpha_bar_prev"
        } else if std < 0.05 {
            "there is no noise on it"
        } else if looks_right_at(step.alpha_bar) {
            "its noise is that of step.alpha_bar, where the step started; by now the images are at step.alpha_bar_prev"
        } else if looks_right_at(run.steps[0].alpha_bar) {
            "its noise is that of t0: take the noise of the time that the step leads to, step.alpha_bar_prev"
        } else {
            "did you call keep_outside after the step, with the guide, and with step.alpha_bar_prev?"
        };
        panic!(
            "{at}, outside of the mask, the images are not the guide at that time: what is left after subtracting it, over \
             sqrt(1 - alpha_bar_prev), has mean {mean:.2} and standard deviation {std:.2} instead of 0 and 1: {hint}"
        );
    }
    let difference = outside(&(&run.result - &guide()))
        .into_iter()
        .fold(0f32, |m, d| m.max(d.abs()));
    assert!(
        difference == 0.0,
        "outside of the mask the result differs from the guide by up to {difference}, expected not at all: at the last step \
         keep_outside is called too, with alpha_bar_prev = 1"
    );
    let inside = (&run.result - &guide())
        .indexed_iter()
        .filter(|((_, _, y, x), _)| mask[[*y, *x]] == 1.0)
        .map(|(_, v)| v.abs())
        .fold(0f32, f32::max);
    assert!(
        inside > 0.1,
        "inside of the mask nothing has changed: is the mask inverted?"
    );
}

#[test]
fn exercise_4_4_a_mask_that_lets_everything_change_changes_nothing_else() {
    // The same random numbers are drawn for other things, so that only what is not random can be compared.
    let everything = Array2::ones((8, 8));
    let run = run(400, 1, Some(&everything), 7, &mut ());
    let free = self::run(400, 1, None, 7, &mut ());
    Check::new("one step with a mask of ones", &free.result)
        .formula("with a mask of ones keep_outside changes nothing")
        .verify(&run.result);
}

#[test]
fn steps_keep_their_width_whatever_t0_is() {
    let schedule = Schedule::linear();
    let count = |t0, n| steps_from(&schedule, t0, n).map(|steps| (steps[0].t, steps.len()));
    assert_eq!(count(1000, 1000).unwrap(), (1000, 1000));
    assert_eq!(count(300, 1000).unwrap(), (300, 300));
    assert_eq!(count(300, 100).unwrap(), (300, 30));
    assert_eq!(count(1, 10).unwrap(), (1, 1));
    assert!(count(0, 10).is_err() && count(1001, 10).is_err());
    assert!(count(300, 0).is_err() && count(300, 1001).is_err());
}
