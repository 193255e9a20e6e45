//! Exercise 4.5: SDEdit as a solver of inverse problems.

use checks::{Exercise, Fault, Guard, SAMPLER};
use diffusion::Observer;
use imaging::ForwardOperator;
use ndarray::Array4;
use task4_sdedit::restore;
use testing::path::{Given, Path};
use testing::probe::Numbers;
use testing::sdedit::{restored, way};
use testing::setting::Setting;

use crate::sampler::LOOP;
use crate::sampler_mask::MASKED_LOOP;

pub static RESTORE: Exercise = Exercise::new("4.5 restore", examine)
    .needs(&[&LOOP])
    .after(&MASKED_LOOP);

fn examine() -> Result<(), Fault> {
    let mut guard = Guard::new("restore", SAMPLER);
    restored::judge(&mut |setting| Path::take(&mut guard, sampler, setting))?;
    check_odd_calls(&mut guard)
}

fn sampler(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let (setting, operator) = (&given.setting, given.operator.as_ref());
    let (steps, passes) = (setting.one_pass(), setting.passes);
    restore(&given.model, operator, &given.b, steps, passes, rng, observer).map_err(|error| format!("{error:#}"))
}

/// No pass at all, and a measurement that does not fit.
fn check_odd_calls(guard: &mut Guard) -> Result<(), Fault> {
    let setting = Setting::new(way(300, 2), 4);
    let none = Path::take(guard, without_passes, &setting)?;
    if none.outcome.as_ref().ok() != Some(&setting.start_image()) {
        return Err(Fault::new(
            "with repeats = 0 restore should return operator.start_image(b)",
        ));
    }
    let own = setting.probe().start_image(&wrong_b(&setting));
    let own = own.map_or_else(|error| error.to_string(), |_| String::new());
    let should = "a measurement of the wrong shape should give the operator's error";
    let wrong =
        Path::take(guard, with_wrong_b, &setting).map_err(|fault| fault.fact(format!("in this run {should}")))?;
    match &wrong.outcome {
        Ok(_) => Err(Fault::new(format!("{should}; but restore returned Ok"))),
        Err(text) if !text.contains(&own) => {
            Err(Fault::new(format!("{should}; but another one came: {text}"))
                .fact(format!("the operator's own: {own}")))
        }
        Err(_) => Ok(()),
    }
}

fn wrong_b(setting: &Setting) -> Array4<f32> {
    Array4::zeros((setting.images, 1, 1, 3))
}

fn without_passes(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let steps = &given.setting.steps;
    restore(&given.model, given.operator.as_ref(), &given.b, steps, 0, rng, observer)
        .map_err(|error| format!("{error:#}"))
}

fn with_wrong_b(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let b = wrong_b(&given.setting);
    let steps = &given.setting.steps;
    restore(&given.model, given.operator.as_ref(), &b, steps, 1, rng, observer).map_err(|error| format!("{error:#}"))
}

#[test]
fn exercise_4_5_restore() {
    RESTORE.tell();
}
