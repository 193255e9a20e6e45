//! Exercise 4.3: what the loop does without a mask, step by step, seen from the model and from the observer.

use checks::{Exercise, Fault, Guard, SAMPLER};
use diffusion::{Observer, Schedule};
use ndarray::{Array2, Array4};
use task4_sdedit::{sdedit, steps_from};
use testing::path::{Given, Path};
use testing::probe::{Log, Numbers, ProbeModel};
use testing::sdedit::{guided, way};
use testing::setting::Setting;

use crate::formulas::{NOISE_GUIDE, PREDICT_X0, REVERSE_STEP};

pub static LOOP: Exercise = Exercise::new("4.3 sdedit", examine)
    .needs(&[&NOISE_GUIDE, &PREDICT_X0, &REVERSE_STEP])
    .after(&REVERSE_STEP);

fn examine() -> Result<(), Fault> {
    let mut guard = Guard::new("sdedit", SAMPLER);
    guided::judge(&mut |setting| Path::take(&mut guard, sampler, setting))
}

/// As the student would call it, with a mask or without one.
pub fn sampler(given: &Given, rng: &mut Numbers, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let (setting, mask) = (&given.setting, given.setting.mask());
    sdedit(&given.model, &given.guide, mask.as_ref(), &setting.steps, rng, observer)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn exercise_4_3_the_loop() {
    LOOP.tell();
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_the_shapes() {
    let steps = way(300, 2);
    let setting = Setting::new(steps.clone(), 1);
    let try_mask = |mask: Array2<f32>| {
        let model = ProbeModel::new(setting.shape, &Log::default(), 0);
        sdedit(
            &model,
            &setting.guide(),
            Some(&mask),
            &steps,
            &mut Numbers::still(),
            &mut (),
        )
        .map_or_else(|error| error.to_string(), |_| "accepted".into())
    };
    let said = try_mask(Array2::ones((6, 4)));
    assert!(said.contains("[6, 4]") && said.contains("[6, 5]"), "{said}");
    let mut grey = Array2::ones((6, 5));
    grey[[2, 4]] = 0.5;
    let said = try_mask(grey);
    assert!(said.contains("0.5 at [2, 4]"), "{said}");
}

#[test]
fn steps_keep_their_width_whatever_t0_is() {
    let schedule = Schedule::linear();
    let count = |t0, n| steps_from(&schedule, t0, n).map(|steps| (steps[0].t, steps.len()));
    assert_eq!(count(1000, 1000).expect("within the schedule"), (1000, 1000));
    assert_eq!(count(300, 1000).expect("within the schedule"), (300, 300));
    assert_eq!(count(300, 100).expect("within the schedule"), (300, 30));
    assert_eq!(count(1, 10).expect("within the schedule"), (1, 1));
    assert!(count(0, 10).is_err() && count(1001, 10).is_err());
    assert!(count(300, 0).is_err() && count(300, 1001).is_err());
}
