//! Exercise 3.3: what the loop does, step by step, seen from the model and from the observer.

use checks::Check;
use diffusion::{Observer, ScoreModel};
use ndarray::Array4;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task3_generate::{StepForm, sample};
use testing::loops::{
    FreshNoise, check_calls, check_foreign, check_last_step, check_seeds, check_start, check_stopped, check_times,
    foreign_steps, stop_at,
};
use testing::run::{BATCH, NUM_IMAGES, Recorder, Run};
use testing::step_noise::noise_scale;
use testing::watch::Watch;

const FORMS: [StepForm; 2] = [StepForm::Direct, StepForm::ThroughX0];

fn run(num_steps: usize, form: StepForm, seed: u64, observer: &mut dyn Observer) -> Run {
    let model = Recorder::new();
    let steps = model.schedule().steps(num_steps).unwrap();
    let rng = &mut StdRng::seed_from_u64(seed);
    let result = sample(&model, NUM_IMAGES, &steps, form, rng, observer)
        .expect("neither the model nor the observer failed, so that the sampler should not either");
    assert_eq!(
        result.dim(),
        BATCH,
        "sample should return an array [num_images, C, H, W]"
    );
    model.into_run(steps, result)
}

#[test]
fn one_call_of_the_model_per_step() {
    for form in FORMS {
        for num_steps in [1, 2, 20] {
            check_calls(&run(num_steps, form, 1, &mut ()));
        }
    }
}

#[test]
fn the_model_is_asked_at_the_right_times() {
    for num_steps in [1000, 20] {
        check_times(&run(num_steps, StepForm::Direct, 1, &mut ()));
    }
}

#[test]
fn sampling_starts_from_standard_normal_noise() {
    check_start(&run(10, StepForm::Direct, 2, &mut ()), &[]);
}

#[test]
fn each_step_adds_fresh_noise_but_the_last() {
    for form in FORMS {
        let run = run(50, form, 3, &mut ());
        let mut noise = FreshNoise::new(run.around(0).0.clone(), "x_T again");
        for (i, step) in run.steps.iter().enumerate() {
            let (x_t, x_prev) = run.around(i);
            let mean = (x_t + &run.score(i) * step.beta() as f32) / step.alpha.sqrt() as f32;
            let z: Array4<f32> = (x_prev - &mean) / noise_scale(step) as f32;
            if step.is_last() {
                check_last_step(step, x_t, x_prev, &z);
            } else {
                noise.check(step, z, || {
                    "is z standard normal, and are the step functions (3.1, 3.2) right?".into()
                });
            }
        }
    }
}

#[test]
fn the_observer_sees_every_step_in_order() {
    let mut watch = Watch::default();
    let run = run(20, StepForm::ThroughX0, 4, &mut watch);
    watch.check_order(&run.steps);
    watch.check_no_residual();
    watch.check_images(&run);
}

#[test]
fn one_seed_gives_one_result() {
    for form in FORMS {
        check_seeds(|seed| run(20, form, seed, &mut ()).result);
    }
}

#[test]
fn both_forms_give_the_same_images() {
    for num_steps in [1, 10, 200] {
        let direct = run(num_steps, StepForm::Direct, 7, &mut ());
        let through = run(num_steps, StepForm::ThroughX0, 7, &mut ());
        Check::new(
            format!("the result of {num_steps} steps through x0_hat"),
            &direct.result,
        )
        .tolerance(1e-4)
        .formula("the same seed gives the same images in both forms: see both_forms_agree in formulas.rs")
        .verify(&through.result);
    }
}

#[test]
fn errors_are_handed_on() {
    let model = Recorder::new();
    let steps = model.schedule().steps(10).unwrap();
    let rng = &mut StdRng::seed_from_u64(8);
    let result = sample(&model, 2, &steps, StepForm::Direct, rng, &mut stop_at(3));
    check_stopped(result.err().as_ref(), model.calls());
    let result = sample(&model, 2, &foreign_steps(), StepForm::ThroughX0, rng, &mut ());
    check_foreign(result.err().as_ref());
}
