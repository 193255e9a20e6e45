//! Exercise 5.4: what the loop does, step by step, seen from the model, the operator and the observer.

use checks::{Exercise, Fault, Guard, SAMPLER};
use diffusion::{Observer, Schedule};
use imaging::Inpainting;
use ndarray::{Array2, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task5_score_ald::Guidance;
use testing::path::{Given, Path};
use testing::probe::{Log, Numbers, ProbeModel};
use testing::score_ald;
use testing::setting::Setting;

use crate::formulas::{GAMMA, LIKELIHOOD, POSTERIOR_STEP, PREDICT_X0};

pub static LOOP: Exercise = Exercise::new("5.4b score_ald", the_loop)
    .needs(&[&GAMMA, &LIKELIHOOD, &POSTERIOR_STEP, &PREDICT_X0])
    .after(&PREDICT_X0);

pub static EDGES: Exercise = Exercise::new("5.4b score_ald", edges).needs(&[&LOOP]).after(&LOOP);

fn the_loop() -> Result<(), Fault> {
    let mut guard = Guard::new("score_ald", SAMPLER);
    score_ald::judge(&mut |setting| Path::take(&mut guard, sampler, setting))
}

fn sampler(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    run(given, &given.b, guidance(&given.setting), rng, observer)
}

fn guidance(setting: &Setting) -> Guidance {
    let (sigma, lambda) = setting.guidance;
    Guidance { sigma, lambda }
}

fn run(
    given: &Given,
    b: &Array4<f32>,
    guidance: Guidance,
    rng: &mut Numbers,
    observer: &mut dyn Observer,
) -> Result<Array4<f32>, String> {
    let steps = &given.setting.steps;
    let operator = given.operator.as_ref();
    let result = task5_score_ald::score_ald(&given.model, operator, b, guidance, steps, rng, observer);
    result.map_err(|error| format!("{error:#}"))
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
        "b of the shape [4, 1, 1, 3], where the operator measures [4, 1, 1, 24], should give the operator's error",
        |given, rng, observer| {
            let b = Array4::zeros((given.setting.images, 1, 1, 3));
            run(given, &b, guidance(&given.setting), rng, observer)
        },
        &setting,
        "[4, 1, 1, 3]",
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
        task5_score_ald::score_ald(&model, &nothing, &b, guidance, &steps, rng, &mut ())
            .map_err(|error| format!("{error:#}"))
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
