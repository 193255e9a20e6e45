//! Exercises 4.3 and 4.4: what the loop does, step by step, seen from the model and from the observer.

use checks::Check;
use diffusion::{CountingModel, Observer, Schedule, ScoreModel};
use ndarray::{Array2, Array4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task4_sdedit::{sdedit, steps_from};
use testing::arrays::{alignment, mean_and_std};
use testing::loops::{
    FreshNoise, check_calls, check_foreign, check_last_step, check_seeds, check_stopped, check_times, foreign_steps,
    stop_at,
};
use testing::run::{BATCH, Recorder, Run, prior};
use testing::step_noise::noise_scale;
use testing::watch::Watch;

use crate::guide::guide;

/// One where the lower right may change, and neither symmetric nor half full.
fn mask() -> Array2<f32> {
    Array2::from_shape_fn((8, 8), |(y, x)| if 2 * y + x > 9 { 1.0 } else { 0.0 })
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
    model.into_run(steps, result)
}

/// The noise `eps` in `x_t = sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps`.
fn noise_on(x_t: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    (x_t - guide() * alpha_bar.sqrt() as f32) / (1.0 - alpha_bar).sqrt() as f32
}

#[test]
fn exercise_4_3_one_score_per_step_and_no_pullback() {
    for num_steps in [1, 2, 20] {
        check_calls(&run(400, num_steps, None, 1, &mut ()));
        let model = CountingModel::new(prior());
        let steps = model.schedule().steps_from(400, num_steps).unwrap();
        sdedit(&model, &guide(), None, &steps, &mut StdRng::seed_from_u64(1), &mut ()).unwrap();
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
        check_times(&run(t0, num_steps, None, 1, &mut ()));
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
    let run = run(700, 50, None, 3, &mut ());
    let eps = noise_on(run.around(0).0, run.steps[0].alpha_bar);
    let mut noise = FreshNoise::new(eps, "the eps of the guide again");
    for (i, step) in run.steps.iter().enumerate() {
        let (x_t, x_prev) = run.around(i);
        let mean = (x_t + &run.score(i) * step.beta() as f32) / step.alpha.sqrt() as f32;
        let z: Array4<f32> = (x_prev - &mean) / noise_scale(step) as f32;
        if step.is_last() {
            check_last_step(step, x_t, x_prev, &z);
        } else {
            noise.check(step, z, || {
                "is z standard normal, and is reverse_step (4.2) right?".into()
            });
        }
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
                "draw eps of the guide first; in each step z (none in the last one), then, with a mask, the eps of \
                 what is put back. If all other tests pass, it is the order",
            )
            .verify(&run.result);
    }
}

#[test]
fn exercise_4_3_the_observer_sees_every_step_in_order() {
    let mut watch = Watch::default();
    let run = run(500, 20, None, 4, &mut watch);
    watch.check_order(&run.steps);
    watch.check_no_residual();
    watch.check_images(&run);
}

#[test]
fn exercise_4_3_one_seed_gives_one_result() {
    for mask in [None, Some(mask())] {
        check_seeds(|seed| run(500, 20, mask.as_ref(), seed, &mut ()).result);
    }
}

#[test]
fn exercise_4_3_errors_are_handed_on() {
    let model = Recorder::new();
    let steps = model.schedule().steps_from(300, 10).unwrap();
    let rng = &mut StdRng::seed_from_u64(8);
    let error = sdedit(&model, &guide(), None, &steps, rng, &mut stop_at(3)).err();
    check_stopped(error.as_ref().and_then(|error| error.downcast_ref()), model.calls());
    let error = sdedit(&model, &guide(), None, &foreign_steps(), rng, &mut ()).err();
    check_foreign(error.as_ref().and_then(|error| error.downcast_ref()));
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
                "{at}, outside of the mask, the noise is the same as before it (correlation {alike:.2}): draw a new \
                 eps in each step"
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
            "{at}, outside of the mask, the images are not the guide at that time: what is left after subtracting it, \
             over sqrt(1 - alpha_bar_prev), has mean {mean:.2} and standard deviation {std:.2} instead of 0 and 1: \
             {hint}"
        );
    }
    let difference = outside(&(&run.result - &guide()))
        .into_iter()
        .fold(0f32, |m, d| m.max(d.abs()));
    assert!(
        difference == 0.0,
        "outside of the mask the result differs from the guide by up to {difference}, expected not at all: at the last \
         step keep_outside is called too, with alpha_bar_prev = 1"
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
