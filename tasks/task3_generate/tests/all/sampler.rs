//! Exercise 3.3: what the loop does, step by step, seen from the model and from the observer.

use checks::{Exercise, Fault};
use diffusion::Observer;
use ndarray::Array4;
use task3_generate::{StepForm, sample};
use testing::path::Given;
use testing::probe::Numbers;
use testing::sampler::{ancestral, examine};

use crate::formulas::{DIRECT_STEP, PREDICT_X0, THROUGH_X0};

pub static LOOP: Exercise = Exercise::new("3.3 sample", || check("sample with StepForm::Direct", direct))
    .needs(&[&DIRECT_STEP, &PREDICT_X0])
    .after(&THROUGH_X0);

pub static LOOP_THROUGH_X0: Exercise =
    Exercise::new("3.3 sample", || check("sample with StepForm::ThroughX0", through_x0))
        .needs(&[&LOOP, &THROUGH_X0])
        .after(&LOOP);

fn check(name: &'static str, sampler: testing::path::Sampler) -> Result<(), Fault> {
    examine(&ancestral(name), sampler)
}

fn direct(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let setting = &given.setting;
    let result = sample(
        &given.model,
        setting.images,
        &setting.steps,
        StepForm::Direct,
        rng,
        observer,
    );
    result.map_err(|error| error.to_string())
}

fn through_x0(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let setting = &given.setting;
    let result = sample(
        &given.model,
        setting.images,
        &setting.steps,
        StepForm::ThroughX0,
        rng,
        observer,
    );
    result.map_err(|error| error.to_string())
}

#[test]
fn exercise_3_3_the_loop() {
    LOOP.tell();
}

#[test]
fn exercise_3_3_the_loop_through_x0() {
    LOOP_THROUGH_X0.tell();
}
