//! Exercise 6.5: what the loop does, step by step, seen from the model, the operator and the observer.

use checks::Check;
use diffusion::{
    CountingModel, GaussianModel, Observer, Schedule, ScoreError, ScoreModel, Step, StepView, Trajectory, observe_with,
};
use imaging::{ForwardOperator, Inpainting, norms, residual};
use ndarray::{Array1, Array2, Array4, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task6_dps::{StepSize, dps, dps_step, measurement_gradient, predict_x0, step_sizes};
use testing::arrays::noise;
use testing::step_noise::noise_scale;

const SHAPE: [usize; 3] = [2, 5, 4];
const NUM_IMAGES: usize = 3;
const BATCH: (usize, usize, usize, usize) = (NUM_IMAGES, SHAPE[0], SHAPE[1], SHAPE[2]);
const STEP_SIZE: StepSize = StepSize::Normalised(0.2);

fn model() -> GaussianModel {
    let d = SHAPE.iter().product::<usize>();
    let mean = Array1::from_elem(d, 0.2);
    let variances = Array1::from_shape_fn(d, |i| 0.05 + 0.01 * i as f64);
    GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, variances).unwrap()
}

fn operator() -> Inpainting {
    Inpainting::random(SHAPE, 0.4, 7).unwrap()
}

fn measurement(operator: &dyn ForwardOperator) -> Array4<f32> {
    operator.apply(&(noise(BATCH, 11) * 0.4)).unwrap()
}

fn run(num_steps: usize, seed: u64, observer: &mut dyn Observer) -> anyhow::Result<Array4<f32>> {
    let (model, operator) = (model(), operator());
    let steps = model.schedule().steps(num_steps)?;
    let b = measurement(&operator);
    dps(
        &model,
        &operator,
        &b,
        STEP_SIZE,
        &steps,
        &mut StdRng::seed_from_u64(seed),
        observer,
    )
}

#[test]
fn one_forward_and_one_backward_pass_per_step() {
    for num_steps in [1, 2, 20] {
        let model = CountingModel::new(model());
        let operator = operator();
        let steps = model.schedule().steps(num_steps).unwrap();
        let b = measurement(&operator);
        dps(
            &model,
            &operator,
            &b,
            STEP_SIZE,
            &steps,
            &mut StdRng::seed_from_u64(1),
            &mut (),
        )
        .expect("neither the model nor the operator failed");
        let (forward, backward) = (model.forwards(), model.backwards());
        let hint = if forward == 2 * num_steps {
            "twice per step: score_with_pullback returns the score as well, a call of score beside it doubles the cost"
        } else if forward == num_steps * NUM_IMAGES {
            "once for each image: the model takes the whole batch at once"
        } else if forward + 1 == num_steps {
            "one step is left out, the first or the last"
        } else {
            "a call of the network is what takes the time: one per step"
        };
        assert_eq!(
            forward, num_steps,
            "{forward} forward passes of the model for {num_steps} steps: {hint}"
        );
        let hint = if backward == 0 {
            "the gradient does not go through the network; measurement_gradient needs the pullback"
        } else {
            "one per step, in measurement_gradient"
        };
        assert_eq!(
            backward, num_steps,
            "{backward} backward passes of the model for {num_steps} steps: {hint}"
        );
    }
}

/// Which steps add noise.
#[derive(Clone, Copy, PartialEq)]
enum Noise {
    /// All but the last, as it should be.
    ButTheLast,
    InEveryStep,
    Never,
}

/// The loop as the docstring of `dps` tells it, made of your own functions.
fn by_the_book(seed: u64, steps: &[Step], noisy: Noise) -> Array4<f32> {
    let (model, operator) = (model(), operator());
    let b = measurement(&operator);
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut x_t: Array4<f32> = Array4::random_using(BATCH, StandardNormal, rng);
    for step in steps {
        let (score, pullback) = model.score_with_pullback(&x_t, step.t).unwrap();
        let x0_hat = predict_x0(&x_t, &score, step);
        let r = residual(&operator, &b, &x0_hat).unwrap();
        let gradient = measurement_gradient(&operator, &x0_hat, &r, pullback, step).unwrap();
        let zeta_t = step_sizes(STEP_SIZE, &norms(&r));
        let z = match noisy {
            Noise::ButTheLast if !step.is_last() => Array4::random_using(BATCH, StandardNormal, rng),
            Noise::InEveryStep => Array4::random_using(BATCH, StandardNormal, rng),
            Noise::ButTheLast | Noise::Never => Array4::zeros(BATCH),
        };
        // The step's own sigma is 0 at the end.
        let sigma = noise_scale(step);
        x_t = dps_step(&x_t, &x0_hat, &gradient, &zeta_t, &z, &Step { sigma, ..*step });
    }
    x_t
}

#[test]
fn exercise_6_5_the_whole_loop() {
    for num_steps in [1, 2, 15] {
        let steps = model().schedule().steps(num_steps).unwrap();
        let expected = by_the_book(3, &steps, Noise::ButTheLast);
        let mut check = Check::new(format!("dps, {num_steps} steps"), &expected)
            .formula("x_T, then for each step: score and pullback, x0_hat, residual, gradient, z, step")
            .tolerance(1e-4)
            .suspect(
                &by_the_book(3, &steps, Noise::InEveryStep),
                "noise is added at the last step: there z = 0 (step.is_last())",
            );
        if num_steps > 1 {
            check = check
                .suspect(&by_the_book(3, &steps, Noise::Never), "no noise is added in any step")
                .suspect(
                    &by_the_book(3, &steps[..num_steps - 1], Noise::InEveryStep),
                    "the last step is not taken",
                )
                .suspect(
                    &by_the_book(3, &steps[1..], Noise::ButTheLast),
                    "the first step is not taken",
                );
        }
        check.verify(&run(num_steps, 3, &mut ()).expect("nothing failed"));
    }
}

#[test]
fn the_observer_sees_each_step_before_it_is_taken() {
    let (model, operator) = (model(), operator());
    let b = measurement(&operator);
    let mut trajectory = Trajectory::new(100);
    run(12, 4, &mut trajectory).expect("nothing failed");
    let frames = trajectory.frames();
    assert_eq!(
        frames.len(),
        12,
        "the observer saw {} steps of 12: call observer.observe once per step, with the step's index and num_steps",
        frames.len()
    );
    let x_start = noise(BATCH, 4);
    Check::new("the first x_t that the observer sees", &x_start)
        .suspect(
            &frames[1].x_t,
            "that is x_t after the step; the observer sees it from before",
        )
        .formula("x_T, the first draw from rng")
        .verify(&frames[0].x_t);
    for frame in frames {
        let t = frame.step.t;
        let score = model.score(&frame.x_t, t).unwrap();
        let x0_hat = predict_x0(&frame.x_t, &score, &frame.step);
        Check::new(format!("the x0_hat that the observer sees at t = {t}"), &x0_hat)
            .suspect(&frame.x_t, "that is x_t")
            .tolerance(1e-4)
            .verify(&frame.x0_hat);
        let right = norms(&residual(&operator, &b, &x0_hat).unwrap());
        let seen = frame.residual.as_ref().unwrap_or_else(|| {
            panic!("the observer sees no residual at t = {t}: hand it Some(&norms), the norm of each image's residual")
        });
        let close = seen.len() == right.len() && seen.iter().zip(&right).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b));
        let squared = seen
            .iter()
            .zip(&right)
            .all(|(a, b)| (a - b * b).abs() < 1e-3 * (1.0 + b));
        let of_x_t = norms(&residual(&operator, &b, &frame.x_t).unwrap());
        let hint = if squared {
            "these are the squares of the norms"
        } else if seen.iter().zip(&of_x_t).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b)) {
            "that is b - A x_t; DPS compares the measurement with the expected clean image, b - A x0_hat"
        } else {
            "expected ||b - A x0_hat|| of each image"
        };
        assert!(
            close,
            "the residual that the observer sees at t = {t} is {seen:?}, expected {right:?}: {hint}"
        );
    }
}

#[test]
fn an_error_of_the_observer_stops_the_sampler() {
    let mut seen = 0;
    let result = run(
        20,
        1,
        &mut observe_with(|_: &StepView<'_>| {
            seen += 1;
            if seen == 3 {
                Err(ScoreError::Interrupted)
            } else {
                Ok(())
            }
        }),
    );
    assert!(
        result.is_err() && seen == 3,
        "the observer stopped the sampler at step 3, but it went on to step {seen}: hand the observer's error on with \
         `?`"
    );
}

#[test]
fn one_seed_gives_one_result() {
    let results = [1, 1, 2].map(|seed| run(10, seed, &mut ()).expect("nothing failed"));
    assert_eq!(
        results[0], results[1],
        "the same seed gave different images: all random numbers must come from `rng`"
    );
    assert_ne!(
        results[0], results[2],
        "two seeds gave the same images: draw x_T and z from `rng`"
    );
}

#[test]
fn an_image_does_not_depend_on_its_neighbours_in_the_batch() {
    let (model, operator) = (model(), operator());
    let steps = model.schedule().steps(10).unwrap();
    let b = measurement(&operator);
    let solve = |b: &Array4<f32>| {
        dps(
            &model,
            &operator,
            b,
            STEP_SIZE,
            &steps,
            &mut StdRng::seed_from_u64(6),
            &mut (),
        )
        .expect("nothing failed")
    };
    let together = solve(&b);
    let mut others = b.clone();
    others.slice_mut(ndarray::s![1.., .., .., ..]).mapv_inplace(|v| v + 5.0);
    let first = solve(&others).index_axis_move(Axis(0), 0);
    assert_eq!(
        together.index_axis(Axis(0), 0),
        first,
        "the first image changed as the measurements of the others did: zeta_t and the residual's norm are each \
         image's own"
    );
}

#[test]
fn nothing_measured_leaves_the_prior() {
    let everything = Inpainting::from_mask(SHAPE, &Array2::from_elem((SHAPE[1], SHAPE[2]), false)).unwrap();
    let model = model();
    let steps = model.schedule().steps(10).unwrap();
    let [c, ..] = SHAPE;
    let b = Array4::zeros((NUM_IMAGES, c, 1, 0));
    let result = dps(
        &model,
        &everything,
        &b,
        STEP_SIZE,
        &steps,
        &mut StdRng::seed_from_u64(1),
        &mut (),
    )
    .expect("a measurement without a single number is allowed");
    assert!(
        result.iter().all(|v| v.is_finite()),
        "with everything masked the residual is 0, and so must zeta_t be: 0 / 0 is NaN"
    );
}

#[test]
fn a_measurement_of_another_operator_is_refused() {
    let model = model();
    let steps = model.schedule().steps(5).unwrap();
    let b = Array4::zeros((NUM_IMAGES, 2, 1, 3));
    let error = dps(
        &model,
        &operator(),
        &b,
        STEP_SIZE,
        &steps,
        &mut StdRng::seed_from_u64(1),
        &mut (),
    )
    .expect_err("a measurement of the wrong shape is no measurement");
    let text = format!("{error:#}");
    assert!(
        text.contains("[3, 2, 1, 3]") && text.contains("[3, 2, 1, 12]"),
        "{text}"
    );
}

#[test]
fn guidance_makes_the_residual_small() {
    let (model, operator) = (model(), operator());
    let steps = model.schedule().steps(200).unwrap();
    let b = measurement(&operator);
    let left = |step_size: StepSize| -> f32 {
        let rng = &mut StdRng::seed_from_u64(8);
        let x = dps(&model, &operator, &b, step_size, &steps, rng, &mut ()).expect("nothing failed");
        norms(&residual(&operator, &b, &x).unwrap()).iter().sum()
    };
    let (without, with) = (left(StepSize::Normalised(0.0)), left(StepSize::Normalised(0.1)));
    assert!(
        with < 0.4 * without,
        "the residual is {with:.3} with guidance and {without:.3} without: does each step go down the gradient?"
    );
}
