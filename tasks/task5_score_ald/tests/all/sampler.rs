//! Exercise 5.4: what the loop does, step by step, seen from the model, from the operator and from the observer.

use checks::Check;
use diffusion::{Observer, ScoreModel, Step};
use imaging::{Convolution, ForwardOperator};
use ndarray::{Array4, ArrayView3, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task5_score_ald::{Guidance, score_ald};
use testing::arrays::mean_and_std;
use testing::loops::{
    FreshNoise, at, check_calls, check_foreign, check_seeds, check_start, check_stopped, check_times, foreign_steps,
    stop_at,
};
use testing::run::{BATCH, NUM_IMAGES, Recorder, Run, SHAPE};
use testing::step_noise::noise_scale;
use testing::tweedie::x0_hat;
use testing::watch::Watch;

const GUIDANCE: Guidance = Guidance {
    sigma: 0.3,
    lambda: 0.5,
};

/// A blur that is not symmetric.
fn operator() -> Convolution {
    let kernel = array![[0.1, 0.5, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, -0.1]];
    Convolution::from_kernel(SHAPE, &kernel).unwrap()
}

/// A measurement of each image, all different.
fn measurements() -> Array4<f32> {
    let truth = Array4::from_shape_fn(BATCH, |(b, c, i, j)| {
        (0.7 * b as f32 + 1.3 * c as f32 + 0.9 * i as f32 + 0.4 * j as f32).sin()
    });
    operator().apply(&truth).unwrap()
}

fn run(num_steps: usize, seed: u64, observer: &mut dyn Observer) -> Run {
    let model = Recorder::new();
    let steps = model.schedule().steps(num_steps).unwrap();
    let rng = &mut StdRng::seed_from_u64(seed);
    let b = measurements();
    let result = score_ald(&model, &operator(), &b, GUIDANCE, &steps, rng, observer)
        .expect("neither the model nor the operator nor the observer failed, so that the sampler should not either");
    assert_eq!(
        result.dim(),
        BATCH,
        "score_ald should return an array [B, C, H, W], with as many images as there are measurements"
    );
    model.into_run(steps, result)
}

#[test]
fn one_score_per_step_and_no_pullback() {
    for num_steps in [1, 2, 20] {
        let run = run(num_steps, 1, &mut ());
        check_calls(&run);
        assert_eq!(
            run.pullbacks, 0,
            "score_with_pullback was called: Score-ALD never differentiates the network (that is DPS, and twice as \
             slow); `score` is enough"
        );
    }
}

#[test]
fn the_model_is_asked_at_the_right_times() {
    for num_steps in [1000, 20] {
        check_times(&run(num_steps, 1, &mut ()));
    }
}

#[test]
fn sampling_starts_from_standard_normal_noise() {
    let b = measurements();
    let back = operator().vjp(&Array4::zeros(BATCH), &b).unwrap();
    let lookalikes = [
        (
            back,
            "it is A^T b: Score-ALD starts from pure noise (task 4 starts from an image)",
        ),
        (
            b,
            "it is b: Score-ALD starts from pure noise (task 4 starts from an image)",
        ),
    ];
    check_start(&run(10, 2, &mut ()), &lookalikes);
}

/// What a student may have put in place of the likelihood score at `x_t`, and what to say then. The right one comes
/// first.
fn likelihoods(run: &Run, i: usize) -> Vec<(Array4<f32>, &'static str)> {
    let (operator, b, step) = (operator(), measurements(), &run.steps[i]);
    let (x_t, x_prev) = run.around(i);
    let x0_hat = x0_hat(x_t, &run.score(i), step.alpha_bar);
    let back = |x: &Array4<f32>| {
        let r = &b - &operator.apply(x).unwrap();
        operator.vjp(x, &r).unwrap()
    };
    let variance = |alpha_bar: f64| GUIDANCE.sigma.powi(2) + GUIDANCE.lambda * (1.0 - alpha_bar);
    let right = variance(step.alpha_bar) as f32;
    let first = variance(run.steps[0].alpha_bar) as f32;
    vec![
        (back(x_t) / right, ""),
        (
            back(&x0_hat) / right,
            "the likelihood score is taken at x0_hat: Score-ALD takes it at x_t as it is (x0_hat is the idea of DPS)",
        ),
        (
            back(&(x_t / step.alpha_bar.sqrt() as f32)) / right,
            "the likelihood score is taken at x_t / sqrt(alpha_bar_t): the lecture's Score-ALD takes x_t as it is",
        ),
        (
            back(x_prev) / right,
            "the likelihood score is taken at x_{t-1}, after the step: it belongs to x_t, as the score does",
        ),
        (
            x_t * 0.0,
            "the likelihood score plays no part in it: that is task 3, which knows no measurement",
        ),
        (
            back(x_t) / GUIDANCE.sigma.powi(2) as f32,
            "gamma_t is 0 in it: gamma(step, guidance.lambda) of this step",
        ),
        (
            back(x_t) / (right - GUIDANCE.sigma.powi(2) as f32),
            "sigma is 0 in it: guidance.sigma",
        ),
        (
            back(x_t) / variance(step.alpha_bar_prev) as f32,
            "gamma_t is that of the time the step leads to: it belongs to step.t",
        ),
        (
            back(x_t) / first,
            "gamma_t is that of the first step: it changes with every step",
        ),
        (
            back(x_t) / (GUIDANCE.lambda.powi(2) + GUIDANCE.sigma * (1.0 - step.alpha_bar)) as f32,
            "sigma and lambda have changed places",
        ),
        (
            back(x_t) / (GUIDANCE.sigma.powi(2) + GUIDANCE.sigma * (1.0 - step.alpha_bar)) as f32,
            "gamma gets sigma where it should get lambda: gamma(step, guidance.lambda)",
        ),
    ]
}

/// The step from `x_t` with the likelihood score `l`, for `z = 0`.
fn mean(run: &Run, i: usize, l: &Array4<f32>) -> Array4<f32> {
    let step = &run.steps[i];
    (run.around(i).0 + (&run.score(i) + l) * step.beta() as f32) / step.alpha.sqrt() as f32
}

#[test]
fn each_step_is_a_posterior_step() {
    let run = run(50, 3, &mut ());
    // A sampler that draws x_T and then each z has drawn these; of another, only the statistics of z can be tested.
    let mut rng = StdRng::seed_from_u64(3);
    let start = Array4::<f32>::random_using(BATCH, StandardNormal, &mut rng);
    let mut replay = (start == run.around(0).0).then_some(rng);
    let mut noise = FreshNoise::new(run.around(0).0.clone(), "x_T again");
    for (i, step) in run.steps.iter().enumerate() {
        // The noise that must have been added, were `l` the likelihood score: a mean that is wrong shows in it.
        let noise_for = |l: &Array4<f32>| (run.around(i).1 - &mean(&run, i, l)) / noise_scale(step) as f32;
        let likelihoods = likelihoods(&run, i);
        if let Some(because) = replay
            .as_mut()
            .and_then(|rng| culprit(&likelihoods, noise_for, step, rng))
        {
            panic!("x_{{t-1}} {} is not right.\n  What is wrong: {because}.", at(step));
        }
        if step.is_last() {
            check_end(&run, i, &likelihoods, &noise_for(&likelihoods[0].0));
        } else {
            noise.check(step, noise_for(&likelihoods[0].0), || {
                why(&likelihoods[1..], noise_for).into()
            });
        }
    }
}

/// The last step, number `i`, in which `z` should be 0.
fn check_end(run: &Run, i: usize, likelihoods: &[(Array4<f32>, &'static str)], z: &Array4<f32>) {
    let ((x_t, x_prev), at) = (run.around(i), at(&run.steps[i]));
    assert!(
        x_prev != x_t,
        "{at}, the last one, x_t is returned as it is: the last step is left out"
    );
    let expected = mean(run, i, &likelihoods[0].0);
    let mut check = Check::new(format!("x_{{t-1}} {at}, the last one"), &expected)
        .tolerance(1e-4)
        .formula("(x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t), with z = 0: step.is_last() tells");
    for (l, because) in &likelihoods[1..] {
        check = check.suspect(&mean(run, i, l), *because);
    }
    let Err(message) = check.diagnose(x_prev) else { return };
    let (z_mean, z_std) = mean_and_std(z);
    assert!(
        (z_std - 1.0).abs() > 0.15 || z_mean.abs() > 0.22,
        "{at}, the last one, noise is added: z = 0 there, step.is_last() tells"
    );
    panic!("{message}");
}

/// What is wrong, if one of the wrong likelihood scores leads exactly to the noise that was drawn.
fn culprit(
    likelihoods: &[(Array4<f32>, &'static str)],
    noise_for: impl Fn(&Array4<f32>) -> Array4<f32>,
    step: &Step,
    rng: &mut StdRng,
) -> Option<&'static str> {
    let shape = likelihoods[0].0.dim();
    let drawn: Array4<f32> = if step.is_last() {
        Array4::zeros(shape)
    } else {
        Array4::random_using(shape, StandardNormal, rng)
    };
    let far = |l: &Array4<f32>| {
        let off = noise_for(l) - &drawn;
        off.iter().fold(0f32, |worst, v| worst.max(v.abs()))
    };
    // Rounding, over the smallest sigma_t.
    let is_it = |(l, _): &&(Array4<f32>, &'static str)| far(l) < 1e-3;
    match likelihoods.iter().find(is_it) {
        Some((_, because)) if !because.is_empty() => Some(because),
        _ => None,
    }
}

/// Which of the wrong likelihood scores would make the noise look standard normal.
fn why(wrong: &[(Array4<f32>, &'static str)], noise_for: impl Fn(&Array4<f32>) -> Array4<f32>) -> &'static str {
    let far = |l: &Array4<f32>| {
        let (mean, std) = mean_and_std(&noise_for(l));
        (mean.powi(2) + (std - 1.0).powi(2)).sqrt()
    };
    let best = wrong
        .iter()
        .map(|(l, because)| (far(l), *because))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((off, because)) if off < 0.15 => because,
        _ => {
            "is z standard normal, and are gamma, likelihood_score and posterior_step right? (cargo test -p \
             task5_score_ald formulas)"
        }
    }
}

#[test]
fn the_observer_sees_every_step_in_order() {
    let mut watch = Watch::default();
    let run = run(20, 4, &mut watch);
    watch.check_order(&run.steps);
    watch.check_images(&run);
    for (i, seen) in watch.seen.iter().enumerate() {
        let (x_t, next) = run.around(i);
        let x0_hat = x0_hat(x_t, &run.score(i), seen.step.alpha_bar);
        check_residual(seen.step.t, seen.residual.as_deref(), [&x0_hat, x_t, next]);
    }
}

/// The residual norms that the observer saw, against those of `x0_hat`; `x_t` and `x_{t-1}` are suspects.
fn check_residual(t: usize, seen: Option<&[f32]>, [x0_hat, x_t, next]: [&Array4<f32>; 3]) {
    let Some(seen) = seen else {
        panic!("the observer saw no residual at t = {t}: residual: Some(&...), the norm of b - A x0_hat of each image");
    };
    assert_eq!(
        seen.len(),
        NUM_IMAGES,
        "the observer's residual at t = {t} has {} numbers for {NUM_IMAGES} images: one for each, `norms` gives them",
        seen.len()
    );
    let operator = operator();
    let as_array = |values: Vec<f64>| Array4::from_shape_fn((NUM_IMAGES, 1, 1, 1), |(i, ..)| values[i] as f32);
    let of = |x: &Array4<f32>, f: fn(f64, f64) -> f64| {
        let r = measurements() - operator.apply(x).unwrap();
        let square = |one: ArrayView3<'_, f32>| one.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        as_array(r.outer_iter().map(|one| f(square(one), one.len() as f64)).collect())
    };
    let norm = |square: f64, _: f64| square.sqrt();
    let expected = of(x0_hat, norm);
    Check::new(format!("the residual that the observer saw at t = {t}"), &expected)
        .tolerance(1e-4)
        .formula("||b - A x0_hat|| of each image: norms(&residual(operator, b, &x0_hat)?)")
        .suspect(&of(x_t, norm), "it is ||b - A x_t||: the observer gets that of x0_hat")
        .suspect(
            &of(next, norm),
            "it is ||b - A x_{t-1}||: the observer gets that of x0_hat",
        )
        .suspect(&of(x0_hat, |square, _| square), "it is the squared norm")
        .suspect(
            &of(x0_hat, |square, n| (square / n).sqrt()),
            "it is the root mean square; the observer gets the norm",
        )
        .verify(&as_array(seen.iter().map(|r| f64::from(*r)).collect()));
}

#[test]
fn one_seed_gives_one_result() {
    check_seeds(|seed| run(20, seed, &mut ()).result);
}

#[test]
fn errors_are_handed_on() {
    let (model, operator, b) = (Recorder::new(), operator(), measurements());
    let steps = model.schedule().steps(10).unwrap();
    let rng = &mut StdRng::seed_from_u64(8);
    let error = score_ald(&model, &operator, &b, GUIDANCE, &steps, rng, &mut stop_at(3)).err();
    check_stopped(error.as_ref().and_then(|error| error.downcast_ref()), model.calls());
    let error = score_ald(&model, &operator, &b, GUIDANCE, &foreign_steps(), rng, &mut ()).err();
    check_foreign(error.as_ref().and_then(|error| error.downcast_ref()));
}

#[test]
fn what_cannot_be_solved_is_an_error() {
    let (model, operator) = (Recorder::new(), operator());
    let steps = model.schedule().steps(10).unwrap();
    let solve = |b: &Array4<f32>, guidance: Guidance| {
        let rng = &mut StdRng::seed_from_u64(9);
        score_ald(&model, &operator, b, guidance, &steps, rng, &mut ())
    };
    let mut broken = measurements();
    broken[[1, 0, 2, 3]] = f32::NAN;
    assert!(
        solve(&broken, GUIDANCE).is_err(),
        "a measurement with a NaN should be an error: the operator finds it; use `?`"
    );
    assert!(
        solve(&Array4::zeros((NUM_IMAGES, 2, 8, 7)), GUIDANCE).is_err(),
        "a measurement of the wrong shape should be an error: `residual` finds it; use `?`"
    );
    // So strong a guidance makes each step overshoot the last, up to infinity.
    let steps = model.schedule().steps(1000).unwrap();
    let rng = &mut StdRng::seed_from_u64(10);
    let wild = Guidance {
        sigma: 1e-3,
        lambda: 0.0,
    };
    let result = score_ald(&model, &operator, &measurements(), wild, &steps, rng, &mut ());
    assert!(
        result.map_or(true, |x| x.iter().all(|v| v.is_finite())),
        "NaN came back without an error: the operator refuses infinite images; hand its error on with `?`"
    );
    let trusting = Guidance {
        sigma: 0.0,
        lambda: 0.0,
    };
    assert!(
        solve(&measurements(), trusting).is_err(),
        "sigma = 0 with lambda = 0 divides by zero: it should be an error, not a NaN"
    );
    assert!(
        solve(
            &measurements(),
            Guidance {
                sigma: 0.0,
                lambda: 1.0
            }
        )
        .is_ok_and(|x| x.iter().all(|v| v.is_finite())),
        "sigma = 0 with lambda = 1 has a result"
    );
}
