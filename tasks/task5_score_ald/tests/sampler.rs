//! Exercise 5.4: what the loop does, step by step, seen from the model, from the operator and from the observer.

use std::sync::Mutex;

use checks::Check;
use diffusion::{
    GaussianModel, Observer, Pullback, Schedule, ScoreError, ScoreModel, Step, StepView, Trajectory, observe_with,
};
use imaging::{Convolution, ForwardOperator};
use ndarray::{Array1, Array4, Axis, array};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::{SeedableRng, rngs::StdRng};
use task5_score_ald::{Guidance, score_ald};
use testing::step_noise::noise_scale;

const SHAPE: [usize; 3] = [2, 8, 8];
const NUM_IMAGES: usize = 6;
const GUIDANCE: Guidance = Guidance {
    sigma: 0.3,
    lambda: 0.5,
};

/// A Gaussian prior that remembers what it was asked.
struct Recorder {
    prior: GaussianModel,
    asked: Mutex<Vec<(Array4<f32>, usize)>>,
    pullbacks: Mutex<usize>,
}

impl Recorder {
    fn new() -> Self {
        let d = SHAPE.iter().product::<usize>();
        let mean = Array1::from_elem(d, 0.2);
        let variances = Array1::from_shape_fn(d, |i| 0.05 + 0.002 * i as f64);
        Self {
            prior: GaussianModel::diagonal(Schedule::linear(), SHAPE, mean, variances).unwrap(),
            asked: Mutex::default(),
            pullbacks: Mutex::default(),
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
        *self.pullbacks.lock().unwrap() += 1;
        self.prior.score_with_pullback(x_t, t)
    }
}

/// A blur that is not symmetric.
fn operator() -> Convolution {
    let kernel = array![[0.1, 0.5, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, -0.1]];
    Convolution::from_kernel(SHAPE, &kernel).unwrap()
}

/// A measurement of each image, all different.
fn measurements() -> Array4<f32> {
    let [c, h, w] = SHAPE;
    let truth = Array4::from_shape_fn((NUM_IMAGES, c, h, w), |(b, c, i, j)| {
        (0.7 * b as f32 + 1.3 * c as f32 + 0.9 * i as f32 + 0.4 * j as f32).sin()
    });
    operator().apply(&truth).unwrap()
}

/// A run of the sampler, and all that was seen of it.
struct Run {
    steps: Vec<Step>,
    /// What the model was asked.
    asked: Vec<(Array4<f32>, usize)>,
    pullbacks: usize,
    result: Array4<f32>,
}

impl Run {
    /// `x_t` before step number `i`, and after it.
    fn around(&self, i: usize) -> (&Array4<f32>, &Array4<f32>) {
        let Some((x_t, _)) = self.asked.get(i) else {
            panic!(
                "the model was asked {} times for {} steps: once per step, at x_t",
                self.asked.len(),
                self.steps.len()
            )
        };
        (x_t, self.asked.get(i + 1).map_or(&self.result, |(x, _)| x))
    }
}

fn run(num_steps: usize, seed: u64, observer: &mut dyn Observer) -> Run {
    let model = Recorder::new();
    let steps = model.schedule().steps(num_steps).unwrap();
    let rng = &mut StdRng::seed_from_u64(seed);
    let b = measurements();
    let result = score_ald(&model, &operator(), &b, GUIDANCE, &steps, rng, observer)
        .expect("neither the model nor the operator nor the observer failed, so that the sampler should not either");
    let [c, h, w] = SHAPE;
    assert_eq!(
        result.shape(),
        [NUM_IMAGES, c, h, w],
        "score_ald should return an array [B, C, H, W], with as many images as there are measurements"
    );
    Run {
        steps,
        asked: model.asked.into_inner().unwrap(),
        pullbacks: model.pullbacks.into_inner().unwrap(),
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
fn one_score_per_step_and_no_pullback() {
    for num_steps in [1, 2, 20] {
        let run = run(num_steps, 1, &mut ());
        let calls = run.asked.len();
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
        assert_eq!(
            run.pullbacks, 0,
            "score_with_pullback was called: Score-ALD never differentiates the network (that is DPS, and twice as slow); \
             `score` is enough"
        );
    }
}

#[test]
fn the_model_is_asked_at_the_right_times() {
    for num_steps in [1000, 20] {
        let run = run(num_steps, 1, &mut ());
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
    let run = run(10, 2, &mut ());
    let start = &run.asked[0].0;
    let (mean, std) = mean_and_std(start);
    // 768 values: the standard error of the mean is 0.036, of the standard deviation 0.026.
    let hint = if std == 0.0 {
        "all its values are the same: draw them with Array4::random_using"
    } else if (mean - 0.5).abs() < 0.1 && (std - 0.289).abs() < 0.05 {
        "it looks uniform on [0, 1]: use StandardNormal"
    } else if alignment(start, &operator().vjp(start, &measurements()).unwrap()) > 0.9 {
        "it is A^T b: Score-ALD starts from pure noise (task 4 starts from an image)"
    } else if alignment(start, &measurements()) > 0.9 {
        "it is b: Score-ALD starts from pure noise (task 4 starts from an image)"
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

/// What a student may have put in place of the likelihood score at `x_t`, and what to say then. The right one comes first.
fn likelihoods(run: &Run, i: usize) -> Vec<(Array4<f32>, &'static str)> {
    let (operator, b, step) = (operator(), measurements(), &run.steps[i]);
    let (x_t, x_prev) = run.around(i);
    let score = Recorder::new().prior.score(x_t, step.t).unwrap();
    let x0_hat = (x_t + &score * (1.0 - step.alpha_bar) as f32) / step.alpha_bar.sqrt() as f32;
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

#[test]
fn each_step_is_a_posterior_step() {
    let prior = Recorder::new().prior;
    let run = run(50, 3, &mut ());
    // A sampler that draws x_T and then each z has drawn these; of another, only the statistics of z can be tested.
    let mut rng = StdRng::seed_from_u64(3);
    let start = Array4::<f32>::random_using(run.result.dim(), StandardNormal, &mut rng);
    let mut replay = (start == run.around(0).0).then_some(rng);
    let mut before: Option<Array4<f32>> = None;
    for (i, step) in run.steps.iter().enumerate() {
        let (x_t, x_prev) = run.around(i);
        let score = prior.score(x_t, step.t).unwrap();
        // The noise that must have been added, were `l` the likelihood score: a mean that is wrong shows in it.
        let noise_for = |l: &Array4<f32>| {
            let mean = (x_t + (&score + l) * step.beta() as f32) / step.alpha.sqrt() as f32;
            (x_prev - &mean) / noise_scale(step) as f32
        };
        let at = format!("at the step from t = {} to {}", step.t, step.t_prev);
        let likelihoods = likelihoods(&run, i);
        if let Some(because) = replay
            .as_mut()
            .and_then(|rng| culprit(&likelihoods, noise_for, step, rng))
        {
            panic!("x_{{t-1}} {at} is not right.\n  What is wrong: {because}.");
        }
        let z = noise_for(&likelihoods[0].0);
        let (z_mean, z_std) = mean_and_std(&z);
        if step.is_last() {
            if x_prev == x_t {
                panic!("{at}, the last one, x_t is returned as it is: the last step is left out");
            }
            let mean_of = |l: &Array4<f32>| (x_t + (&score + l) * step.beta() as f32) / step.alpha.sqrt() as f32;
            let expected = mean_of(&likelihoods[0].0);
            let mut check = Check::new(format!("x_{{t-1}} {at}, the last one"), &expected)
                .tolerance(1e-4)
                .formula("(x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t), with z = 0: step.is_last() tells");
            for (l, because) in &likelihoods[1..] {
                check = check.suspect(&mean_of(l), *because);
            }
            let Err(message) = check.diagnose(x_prev) else { continue };
            if (z_std - 1.0).abs() < 0.15 && z_mean.abs() < 0.22 {
                panic!("{at}, the last one, noise is added: z = 0 there, step.is_last() tells");
            }
            panic!("{message}");
        }
        if z_std < 1e-2 {
            panic!("{at} no noise is added: z = 0 at the last step only");
        }
        if i == 0 {
            let alike = alignment(&z, x_t);
            assert!(
                alike.abs() < 0.3,
                "{at} z is x_T again (correlation {alike:.2}): draw a new z"
            );
        }
        assert!(
            z_mean.abs() < 0.25 && (z_std - 1.0).abs() < 0.2,
            "{at} the noise that was added, over sigma_t, has mean {z_mean:.3} and standard deviation {z_std:.3} \
             instead of 0 and 1: {}",
            why(&likelihoods[1..], noise_for)
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
        before = Some(z);
    }
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
             task5_score_ald --test formulas)"
        }
    }
}

#[test]
fn the_observer_sees_every_step_in_order() {
    let mut seen: Vec<(usize, usize, Step)> = Vec::new();
    let mut trajectory = Trajectory::new(1000);
    let note = observe_with(|view: &StepView<'_>| {
        seen.push((view.index, view.num_steps, *view.step));
        Ok(())
    });
    let run = run(20, 4, &mut (note, &mut trajectory));
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

    let prior = Recorder::new().prior;
    for (i, frame) in trajectory.frames().iter().enumerate() {
        let (x_t, next) = run.around(i);
        let t = run.steps[i].t;
        let a = prior.schedule().alpha_bar(t);
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
        check_residual(t, frame.residual.as_deref(), [&x0_hat, x_t, next]);
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
        let square = |one: ndarray::ArrayView3<f32>| one.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
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
    let first = run(20, 5, &mut ()).result;
    assert!(
        first == run(20, 5, &mut ()).result,
        "two runs with the same seed differ: draw all noise from `rng`, none from elsewhere"
    );
    assert!(
        first != run(20, 6, &mut ()).result,
        "runs with different seeds are the same: draw the noise from the `rng` that is passed in"
    );
    assert!(!all_alike(&first), "all images of the batch are the same");
}

#[test]
fn errors_are_handed_on() {
    let (model, operator, b) = (Recorder::new(), operator(), measurements());
    let steps = model.schedule().steps(10).unwrap();
    let rng = &mut StdRng::seed_from_u64(8);
    let mut stop = observe_with(|view| {
        if view.index == 3 {
            Err(ScoreError::Interrupted)
        } else {
            Ok(())
        }
    });
    let result = score_ald(&model, &operator, &b, GUIDANCE, &steps, rng, &mut stop);
    assert!(
        result.is_err_and(|error| matches!(error.downcast_ref(), Some(ScoreError::Interrupted))),
        "the observer's error (here: the user pressed Ctrl-C) should end the sampler and come back as it is: use `?`"
    );
    let calls = model.asked.lock().unwrap().len();
    assert!(
        calls <= 4,
        "after the observer stopped it at step 3, the sampler went on, to {calls} calls of the model"
    );

    // A step that the model's schedule does not have.
    let foreign = Schedule::linear_with(2000, 1e-4, 0.02).unwrap().steps(4).unwrap();
    let result = score_ald(&model, &operator, &b, GUIDANCE, &foreign, rng, &mut ());
    assert!(
        result.is_err_and(|error| matches!(error.downcast_ref(), Some(ScoreError::Timestep { t: 2000, max: 1000 }))),
        "the model's error should come back: use `?`"
    );
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
