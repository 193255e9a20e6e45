//! Exercise 6.5: what the loop does, step by step, seen from the model, the operator and the observer.

use checks::{Exercise, Fault, Guard, SAMPLER};
use diffusion::{Observer, Schedule};
use imaging::Inpainting;
use ndarray::{Array2, Array4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task6_dps::{StepSize, dps};
use testing::dps::{CONSTANT, NORMALISED};
use testing::path::{Given, Path};
use testing::probe::{Log, Numbers, ProbeModel};
use testing::sampler::examine;
use testing::setting::Setting;

use crate::formulas::{DPS_STEP, GRADIENT, PREDICT_X0, STEP_SIZES};

/// Of runs whose result is nobody's business but whether there is one.
const ZETA: f64 = 0.35;

pub static LOOP: Exercise = Exercise::new("6.5 dps", || examine(&NORMALISED, normalised))
    .needs(&[&PREDICT_X0, &GRADIENT, &STEP_SIZES, &DPS_STEP])
    .after(&DPS_STEP);

pub static LOOP_CONSTANT: Exercise = Exercise::new("6.5 dps", || examine(&CONSTANT, constant))
    .needs(&[&LOOP])
    .after(&LOOP);

pub static EDGES: Exercise = Exercise::new("6.5 dps", edges).needs(&[&LOOP]).after(&LOOP_CONSTANT);

fn normalised(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    run(given, StepSize::Normalised(given.setting.zeta), rng, observer)
}

fn constant(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    run(given, StepSize::Constant(given.setting.zeta), rng, observer)
}

fn run(given: &Given, size: StepSize, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let result = dps(
        &given.model,
        given.operator.as_ref(),
        &given.b,
        size,
        &given.setting.steps,
        rng,
        observer,
    );
    result.map_err(|error| format!("{error:#}"))
}

/// A measurement of another operator, and one without a single number.
fn edges() -> Result<(), Fault> {
    let mut guard = Guard::new("dps", SAMPLER);
    let steps = Schedule::linear()
        .steps(10)
        .expect("a number of steps within the schedule");
    let should =
        "b of the shape [4, 1, 1, 3], where the operator measures [4, 1, 1, 24], should give the operator's error";
    let wrong = Path::take(&mut guard, with_wrong_b, &Setting::new(steps.clone(), 1))
        .map_err(|fault| fault.fact(format!("in this run {should}")))?;
    match &wrong.outcome {
        Ok(_) => return Err(Fault::new(format!("{should}; but dps returned Ok"))),
        Err(text) if !text.contains("[4, 1, 1, 3]") => {
            return Err(Fault::new(format!("{should}; but another one came: {text}")));
        }
        Err(_) => {}
    }
    let shape = [2, 5, 4];
    let result = guard.call("a mask that hides every pixel", move || {
        let nothing = Inpainting::from_mask(shape, &Array2::from_elem((5, 4), false)).expect("a mask of that shape");
        let model = ProbeModel::new(shape, &Log::default(), 1000);
        let b = Array4::zeros((3, 2, 1, 0));
        let rng = &mut StdRng::seed_from_u64(1);
        dps(&model, &nothing, &b, StepSize::Normalised(ZETA), &steps, rng, &mut ())
            .map_err(|error| format!("{error:#}"))
    })?;
    match result {
        Ok(result) if result.iter().all(|value| value.is_finite()) => Ok(()),
        Ok(_) => Err(Fault::new(
            "with every pixel hidden the residual is 0, and the result should be a sample of the prior; but it \
            holds NaN",
        )),
        Err(error) => Err(Fault::new(format!(
            "a measurement without a single number is allowed, but dps returned an error: {error}"
        ))),
    }
}

fn with_wrong_b(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let b = Array4::zeros((given.setting.images, 1, 1, 3));
    let size = StepSize::Normalised(ZETA);
    let result = dps(
        &given.model,
        given.operator.as_ref(),
        &b,
        size,
        &given.setting.steps,
        rng,
        observer,
    );
    result.map_err(|error| format!("{error:#}"))
}

#[test]
fn exercise_6_5_the_loop() {
    LOOP.tell();
}

#[test]
fn exercise_6_5_the_loop_with_a_constant_step_size() {
    LOOP_CONSTANT.tell();
}

#[test]
fn exercise_6_5_the_loop_with_odd_measurements() {
    EDGES.tell();
}
