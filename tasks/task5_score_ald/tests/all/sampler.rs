//! Exercise 5.4: what the loop does, step by step, seen from the model, the operator and the observer.

use checks::{Case, Exercise, Fault, Guard, Monomial, Quantity, SAMPLER, Sum};
use diffusion::{Observer, Schedule};
use imaging::{ForwardOperator, Inpainting, norms};
use ndarray::{Array2, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task5_score_ald::{Guidance, score_ald};
use testing::noise_of_steps::check_normal;
use testing::path::{Given, Path, Setting};
use testing::probe::{Log, ProbeModel};
use testing::sampler::{Loop, at, direct_mean, direct_terms, examine, quantities_on};

use crate::formulas::{GAMMA, LIKELIHOOD, POSTERIOR_STEP, PREDICT_X0};

pub static LOOP: Exercise = Exercise::new("5.4b score_ald", the_loop)
    .needs(&[&GAMMA, &LIKELIHOOD, &POSTERIOR_STEP, &PREDICT_X0])
    .after(&PREDICT_X0);

pub static EDGES: Exercise = Exercise::new("5.4b score_ald", edges).needs(&[&LOOP]).after(&LOOP);

const SCORE_ALD: Loop = Loop {
    name: "score_ald",
    sampler: |given, rng, observer| run(given, &given.b, guidance(&given.setting), rng, observer),
    mean,
    terms,
    pullbacks: 0,
    residual: Some(|path, x0_hat| norms(&residual(path, x0_hat))),
};

fn the_loop() -> Result<(), Fault> {
    let Err(fault) = examine(&SCORE_ALD) else { return Ok(()) };
    if fault.hint().contains("x_T is not standard normal") {
        start_of_a_measurement()?;
    }
    if fault.hint().contains("no sum of its terms") {
        noise_as_a_score()?;
    }
    Err(fault)
}

/// `z` among the arguments of the step, but in the place of a score: there it shows where `sigma_t` is 0.
fn noise_as_a_score() -> Result<(), Fault> {
    const STEPS: usize = 12;
    let steps = Schedule::linear()
        .steps(STEPS)
        .expect("a number of steps within the schedule");
    let setting = Setting::new(steps, 1).without_noise();
    let path = Path::take(&mut Guard::new(SCORE_ALD.name, SAMPLER), SCORE_ALD.sampler, &setting)?;
    if path.asked().len() != STEPS || path.outcome.is_err() {
        return Ok(());
    }
    for (term, name) in [(1, "the score"), (2, "the likelihood score")] {
        // What stands in the place of this term, at each step: the right one, and what is too much.
        let instead = |i: usize| {
            let ((x_t, next), step) = (path.around(i), &path.setting.steps[i]);
            let too_much = next - &mean().expected(&terms(&path, i));
            let right = match term {
                1 => path.score(i),
                _ => pull(&path, x_t) / variance(&path, i) as f32,
            };
            too_much * (step.alpha.sqrt() / step.beta()) as f32 + right
        };
        let at_the_end = instead(STEPS - 1)
            .iter()
            .fold(0.0f32, |largest, v| largest.max(v.abs()));
        let noise: Vec<Array4<f32>> = (0..STEPS - 1).map(instead).collect();
        let references: Vec<&Array4<f32>> = noise.iter().collect();
        if at_the_end < 1e-3 && check_normal("z", &references).is_ok() {
            return Err(Fault::new(format!(
                "score_ald, from one x_t to the next: z stands where {name} belongs among the arguments of \
                 posterior_step"
            ))
            .fact("what stands there is standard normal in all steps but the last, and 0 in the last, as z is"));
        }
    }
    Ok(())
}

/// A start that is made of the measurement.
fn start_of_a_measurement() -> Result<(), Fault> {
    let steps = Schedule::linear()
        .steps(3)
        .expect("a number of steps within the schedule");
    let path = Path::take(
        &mut Guard::new(SCORE_ALD.name, SAMPLER),
        SCORE_ALD.sampler,
        &Setting::new(steps, 2),
    )?;
    let Some((start, _)) = path.asked().first().copied() else {
        return Ok(());
    };
    let nowhere = Array4::zeros(start.dim());
    let back = path.operator.back(&nowhere, &path.b);
    let first_guess = path.operator.start_image(&path.b).unwrap_or_else(|_| nowhere.clone());
    let is = |known: &Array4<f32>| start.iter().zip(known).all(|(a, b)| (a - b).abs() <= 1e-5);
    for (known, what) in [(back, "A^T b"), (first_guess, "operator.start_image(b)")] {
        if is(&known) {
            return Err(Fault::new(format!(
                "score_ald: x_T is {what}; Score-ALD starts from pure noise, standard normal (task 4 starts from an \
                 image)"
            )));
        }
    }
    Ok(())
}

/// Another one in each run: strong enough to be seen beside the prior, weak enough not to overshoot.
fn guidance(setting: &Setting) -> Guidance {
    let (sigma, lambda) = [(0.7, 2.9), (1.3, 0.83), (0.9, 1.7), (1.1, 3.7)][setting.seed as usize % 4];
    Guidance { sigma, lambda }
}

fn run(
    given: &Given,
    b: &Array4<f32>,
    guidance: Guidance,
    rng: &mut StdRng,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>, String> {
    let steps = &given.setting.steps;
    let result = score_ald(&given.model, &given.operator, b, guidance, steps, rng, observer);
    result.map_err(|error| format!("{error:#}"))
}

const VARIANCE: &str = "sigma^2 + gamma_t^2";

fn mean() -> Sum {
    let sum = Sum::new(
        "score_ald, from one x_t to the next",
        "x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t), where sigma_t = 0, with l = A^T (b - A x_t) / \
         (sigma^2 + gamma_t^2)",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", Monomial::of(&[("1 - alpha_t", 1.0)]))
    .bracketed(
        "A^T (b - A x_t)",
        Monomial::of(&[("1 - alpha_t", 1.0), (VARIANCE, -1.0)]),
    );
    OTHER_VARIANCES.iter().fold(sum, |sum, other| {
        let renames = vec![(VARIANCE.to_owned(), other.name.to_owned())];
        sum.alternative(other.because, renames)
            .remark(other.name, other.because)
    })
}

/// What may stand in the place of `sigma^2 + gamma_t^2`. No name is a part of another, so that remarks find theirs.
struct OtherVariance {
    name: &'static str,
    because: &'static str,
    value: fn(&Path, usize) -> f64,
}

const fn other(name: &'static str, because: &'static str, value: fn(&Path, usize) -> f64) -> OtherVariance {
    OtherVariance { name, because, value }
}

const OTHER_VARIANCES: [OtherVariance; 23] = [
    other(
        "gamma_t^2 alone",
        "sigma is 0 in the likelihood score, or step.sigma, which is 0 in these runs; it should be guidance.sigma",
        gamma_squared,
    ),
    other(
        "sigma^2 alone",
        "gamma_t is 0 in the likelihood score; it should be gamma(step, guidance.lambda)",
        |path, _| guidance(&path.setting).sigma.powi(2),
    ),
    other(
        "sigma^2 + sigma (1 - alpha_bar_t)",
        "gamma gets guidance.sigma where it should get guidance.lambda",
        |path, i| with_lambda(path, i, guidance(&path.setting).sigma),
    ),
    other(
        "lambda^2 + gamma_t^2",
        "likelihood_score gets guidance.lambda where it should get guidance.sigma",
        |path, i| with_sigma(path, i, guidance(&path.setting).lambda),
    ),
    other(
        "lambda^2 + sigma (1 - alpha_bar_t)",
        "guidance.sigma and guidance.lambda have changed places",
        |path, i| {
            let Guidance { sigma, lambda } = guidance(&path.setting);
            lambda.powi(2) + sigma * noise(path, i)
        },
    ),
    other(
        "sigma^2 + gamma_t^2 of the first step",
        "gamma_t is that of the first step in all steps; it changes with every step",
        |path, _| variance(path, 0),
    ),
    other(
        "sigma^2 + gamma_t^2 of the last step",
        "gamma_t is that of the last step in all steps; it changes with every step",
        |path, _| variance(path, path.setting.steps.len() - 1),
    ),
    other(
        "sigma^2 + gamma_t^2 of the step before",
        "gamma_t is that of the step before",
        |path, i| variance(path, i.saturating_sub(1)),
    ),
    other(
        "sigma^2 + gamma_t^2 of the next step",
        "gamma_t is that of the next step",
        |path, i| variance(path, (i + 1).min(path.setting.steps.len() - 1)),
    ),
    other(
        "sigma^2 + gamma_t^2 of the step from the other end of `steps`",
        "gamma_t is that of the step from the other end of `steps`",
        |path, i| variance(path, path.setting.steps.len() - 1 - i),
    ),
    other(
        "sigma^2 + lambda (1 - alpha_bar_{t-1})",
        "gamma_t is that of the time the step leads to; it should be that of step.t",
        |path, i| {
            let Guidance { sigma, lambda } = guidance(&path.setting);
            sigma.powi(2) + lambda * (1.0 - path.setting.steps[i].alpha_bar_prev)
        },
    ),
    other(
        "sigma^2 + lambda (1 - alpha_t)",
        "gamma_t is made of step.alpha; it should be made of step.alpha_bar",
        |path, i| {
            let Guidance { sigma, lambda } = guidance(&path.setting);
            sigma.powi(2) + lambda * path.setting.steps[i].beta()
        },
    ),
    other(
        "sigma^2 + 1 - alpha_bar_t",
        "lambda is 1 in it; it should be guidance.lambda",
        |path, i| with_lambda(path, i, 1.0),
    ),
    other(
        "lambda + sigma^2",
        "sqrt(guidance.lambda) stands where gamma_t belongs",
        |path, _| {
            let Guidance { sigma, lambda } = guidance(&path.setting);
            sigma.powi(2) + lambda
        },
    ),
    other(
        "lambda^2 + sigma^2",
        "guidance.lambda stands where gamma_t belongs: gamma(step, guidance.lambda)",
        |path, _| {
            let Guidance { sigma, lambda } = guidance(&path.setting);
            sigma.powi(2) + lambda.powi(2)
        },
    ),
    other(
        "sigma^2 + lambda^2 (1 - alpha_bar_t)",
        "lambda^2 (1 - alpha_bar_t) stands where gamma_t^2 = lambda (1 - alpha_bar_t) belongs",
        |path, i| with_lambda(path, i, guidance(&path.setting).lambda.powi(2)),
    ),
    other(
        "sigma^2 + lambda^3 (1 - alpha_bar_t)",
        "lambda^3 (1 - alpha_bar_t) stands where gamma_t^2 = lambda (1 - alpha_bar_t) belongs",
        |path, i| with_lambda(path, i, guidance(&path.setting).lambda.powi(3)),
    ),
    other(
        "sigma^2 + gamma_t^4",
        "gamma_t^2 is handed to likelihood_score, which squares it again",
        |path, i| guidance(&path.setting).sigma.powi(2) + gamma_squared(path, i).powi(2),
    ),
    other(
        "gamma_t + sigma^2",
        "sqrt(gamma_t) is handed to likelihood_score where gamma_t belongs",
        |path, i| guidance(&path.setting).sigma.powi(2) + gamma_squared(path, i).sqrt(),
    ),
    other(
        "sigma^4 + gamma_t^2",
        "sigma^2 is handed to likelihood_score, which squares it again",
        |path, i| with_sigma(path, i, guidance(&path.setting).sigma.powi(2)),
    ),
    other(
        "sigma + gamma_t^2",
        "sqrt(sigma) is handed to likelihood_score where sigma belongs",
        |path, i| with_sigma(path, i, guidance(&path.setting).sigma.sqrt()),
    ),
    other(
        "(sigma / 2)^2 + gamma_t^2",
        "sigma is halved; it is on the scale of pixels in [-1, 1] already",
        |path, i| with_sigma(path, i, guidance(&path.setting).sigma / 2.0),
    ),
    other(
        "(2 sigma)^2 + gamma_t^2",
        "sigma is doubled; it is on the scale of pixels in [-1, 1] already",
        |path, i| with_sigma(path, i, 2.0 * guidance(&path.setting).sigma),
    ),
];

fn noise(path: &Path, i: usize) -> f64 {
    1.0 - path.setting.steps[i].alpha_bar
}

fn gamma_squared(path: &Path, i: usize) -> f64 {
    guidance(&path.setting).lambda * noise(path, i)
}

fn with_lambda(path: &Path, i: usize, lambda: f64) -> f64 {
    guidance(&path.setting).sigma.powi(2) + lambda * noise(path, i)
}

fn with_sigma(path: &Path, i: usize, sigma: f64) -> f64 {
    sigma.powi(2) + gamma_squared(path, i)
}

fn variance(path: &Path, i: usize) -> f64 {
    with_sigma(path, i, guidance(&path.setting).sigma)
}

fn residual(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    &path.b - &path.operator.of(x)
}

/// What pulls an image to its measurement.
fn pull(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    path.operator.back(x, &residual(path, x))
}

fn terms(path: &Path, i: usize) -> Case {
    let ((x_t, next), x0_hat, step) = (path.around(i), path.x0_hat(i), &path.setting.steps[i]);
    let score = path.score(i);
    let images = path.setting.images;
    let r = residual(path, x_t);
    let before = path.around(i.saturating_sub(1)).0;
    let start = path.around(0).0;
    let moved = direct_mean("the prior's step").expected(&direct_terms(path, i));
    let clamped = x_t.mapv(|v| v.clamp(-1.0, 1.0));
    let of_clamped = x0_hat.mapv(|v| v.clamp(-1.0, 1.0));
    let root = step.alpha_bar.sqrt() as f32;
    let score_of_clamped = (&of_clamped * root - x_t) / (1.0 - step.alpha_bar) as f32;
    let values = |r: &Array4<f32>| -> Vec<f64> { norms(r).iter().map(|norm| f64::from(*norm)).collect() };
    let Guidance { sigma, lambda } = guidance(&path.setting);
    let mut quantities = quantities_on(path, i);
    quantities.push(Quantity::plain("sigma", sigma));
    quantities.push(Quantity::plain("lambda", lambda));
    quantities.push(Quantity::plain("gamma_t", gamma_squared(path, i).sqrt()));
    quantities.push(Quantity::plain(VARIANCE, variance(path, i)));
    for other in &OTHER_VARIANCES {
        quantities.push(Quantity::rare(other.name, (other.value)(path, i)));
    }
    let pulled = pull(path, x_t);
    let lengths = values(&pulled);
    let whole = lengths.iter().map(|length| length.powi(2)).sum::<f64>().sqrt();
    let arrays = vec![x_t.clone(), score, pulled];
    Case::new(at(path, i), quantities, arrays, next.clone())
        .rare_of_each_image("||b - A x_t||", &values(&r))
        .rare_of_each_image("||b - A x0_hat||", &values(&residual(path, &x0_hat)))
        .rare_of_each_image("B", &vec![images as f64; images])
        .rare_of_each_image("||A^T (b - A x_t)||", &lengths)
        .rare_of_each_image("||A^T (b - A x_t)|| of the whole batch", &vec![whole; images])
        .other(
            2,
            pull(path, &x0_hat),
            "the likelihood score is taken at x0_hat: Score-ALD takes it at x_t as it is (x0_hat is the idea of DPS)",
        )
        .other(
            2,
            pull(path, &(x_t / root)),
            "the likelihood score is taken at x_t / sqrt(alpha_bar_t): Score-ALD takes it at x_t as it is",
        )
        .other(
            2,
            path.operator.back(x_t, &residual(path, &x0_hat)),
            "the residual in the likelihood score is b - A x0_hat; Score-ALD takes b - A x_t",
        )
        .other(
            2,
            pull(path, next),
            "the likelihood score is taken at x_{t-1}, after the step; it belongs to x_t, as the score does",
        )
        .other(
            2,
            pull(path, &moved),
            "the likelihood score is taken at the result of the prior's step; both scores belong to x_t",
        )
        .other(
            2,
            pull(path, before),
            "the likelihood score is that of the x_t of the step before",
        )
        .other(2, pull(path, start), "the likelihood score is always that of x_T")
        .other(
            2,
            pull(path, &clamped),
            "the likelihood score is taken at x_t clamped to [-1, 1]",
        )
        .other(
            2,
            pull(path, &of_clamped),
            "the likelihood score is taken at x0_hat clamped to [-1, 1]",
        )
        .other(
            2,
            path.operator.back(x_t, &path.b),
            "A x_t is not subtracted from b in the likelihood score",
        )
        .other(
            2,
            path.operator.back(x_t, &(&path.b * root - path.operator.of(x_t))),
            "b is multiplied by sqrt(alpha_bar_t) in the likelihood score; Score-ALD takes it as it is",
        )
        .other(
            1,
            path.probe.score(x_t, step.t_prev),
            "the score is that of step.t_prev",
        )
        .other(
            1,
            path.probe.score(before, step.t),
            "the score is that of the x_t of the step before",
        )
        .other(1, path.probe.score(start, step.t), "the score is always that of x_T")
        .other(1, score_of_clamped, "x0_hat is clamped to [-1, 1] in the step")
        .other(
            0,
            start.clone(),
            "every step starts from x_T: x_t is not replaced by the result of the step",
        )
        .other(0, before.clone(), "x_t is that of the step before")
        .other(0, x0_hat, "the step starts from x0_hat in place of x_t")
}

/// Measurements and guidance with which there is no result, and some with which there is one.
fn edges() -> Result<(), Fault> {
    let mut guard = Guard::new("score_ald", SAMPLER);
    let steps = Schedule::linear()
        .steps(10)
        .expect("a number of steps within the schedule");
    let setting = Setting::new(steps, 1);
    fails(
        &mut guard,
        "b of the shape [4, 1, 1, 3], where the operator measures [4, 1, 1, 24], should give the error of `residual`",
        |given, rng, observer| {
            let b = Array4::zeros((given.setting.images, 1, 1, 3));
            run(given, &b, guidance(&given.setting), rng, observer)
        },
        &setting,
        "[4, 1, 1, 24]",
    )?;
    fails(
        &mut guard,
        "b that holds a NaN should give the operator's error: `?` hands it on",
        |given, rng, observer| {
            let mut b = given.b.clone();
            b[[1, 0, 0, 2]] = f32::NAN;
            run(given, &b, guidance(&given.setting), rng, observer)
        },
        &setting,
        "",
    )?;
    fails(
        &mut guard,
        "sigma = 0 with lambda = 0 should give the error of likelihood_score: `?` hands it on",
        |given, rng, observer| {
            run(
                given,
                &given.b,
                Guidance {
                    sigma: 0.0,
                    lambda: 0.0,
                },
                rng,
                observer,
            )
        },
        &setting,
        "sigma^2 + gamma_t^2",
    )?;
    let trusting = Path::take(
        &mut guard,
        |given, rng, observer| {
            run(
                given,
                &given.b,
                Guidance {
                    sigma: 0.0,
                    lambda: 1.0,
                },
                rng,
                observer,
            )
        },
        &setting,
    )?;
    let is_finite = |result: &Array4<f32>| result.iter().all(|value| value.is_finite());
    match &trusting.outcome {
        Ok(result) if is_finite(result) => {}
        Ok(_) => {
            return Err(Fault::new(
                "score_ald: sigma = 0 with lambda = 1 has a result, but it holds NaN",
            ));
        }
        Err(error) => {
            return Err(Fault::new(format!(
                "score_ald: sigma = 0 with lambda = 1 has a result, but an error came: {error}"
            )));
        }
    }
    hidden(&mut guard)
}

/// A run that must end in an error with these words.
fn fails(
    guard: &mut Guard,
    should: &str,
    sampler: testing::path::Sampler,
    setting: &Setting,
    words: &str,
) -> Result<(), Fault> {
    let path = Path::take(guard, sampler, setting).map_err(|fault| fault.fact(format!("in this run {should}")))?;
    match &path.outcome {
        Ok(_) => Err(Fault::new(format!("score_ald: {should}; but it returned Ok"))),
        Err(text) if !text.contains(words) => {
            Err(Fault::new(format!("score_ald: {should}; but another one came: {text}")))
        }
        Err(_) => Ok(()),
    }
}

/// A measurement without a single number: what is left is the prior.
fn hidden(guard: &mut Guard) -> Result<(), Fault> {
    let shape = [2, 5, 4];
    let result = guard.call("a mask that hides every pixel", move || {
        let nothing = Inpainting::from_mask(shape, &Array2::from_elem((5, 4), false)).expect("a mask of that shape");
        let model = ProbeModel::new(shape, &Log::default(), 1000);
        let steps = Schedule::linear()
            .steps(10)
            .expect("a number of steps within the schedule");
        let guidance = Guidance {
            sigma: 0.5,
            lambda: 0.5,
        };
        let (b, rng) = (Array4::zeros((3, 2, 1, 0)), &mut StdRng::seed_from_u64(1));
        score_ald(&model, &nothing, &b, guidance, &steps, rng, &mut ()).map_err(|error| format!("{error:#}"))
    })?;
    match result {
        Ok(result) if result.iter().all(|value| value.is_finite()) => Ok(()),
        Ok(_) => Err(Fault::new(
            "score_ald: with every pixel hidden the result should be a sample of the prior; but it holds NaN",
        )),
        Err(error) => Err(Fault::new(format!(
            "score_ald: a measurement without a single number is allowed, but an error came: {error}"
        ))),
    }
}

#[test]
fn exercise_5_4b_the_loop() {
    LOOP.tell();
}

#[test]
fn exercise_5_4b_the_loop_with_odd_measurements() {
    EDGES.tell();
}
