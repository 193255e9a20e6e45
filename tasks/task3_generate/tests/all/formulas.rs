//! Exercises 3.1 and 3.2, to rounding, with given noise.

use checks::{Case, Exercise, Fault};
use task3_generate::{ddpm_step_direct, ddpm_step_through_x0, predict_x0};
use testing::formula::{examine_direct_step, examine_predict_x0, examine_with, feeds, step_through_x0, x0_hat};
use testing::quantities::of_step;

pub static DIRECT_STEP: Exercise = Exercise::new("3.1 ddpm_step_direct", || {
    examine_direct_step("ddpm_step_direct", ddpm_step_direct)
});

pub static PREDICT_X0: Exercise =
    Exercise::new("3.2a predict_x0", || examine_predict_x0(predict_x0)).after(&DIRECT_STEP);

pub static THROUGH_X0: Exercise = Exercise::new("3.2b ddpm_step_through_x0", through_x0)
    .needs(&[&PREDICT_X0])
    .after(&PREDICT_X0);

fn through_x0() -> Result<(), Fault> {
    let function = "ddpm_step_through_x0";
    let feeds = feeds::<3>().into_iter().map(|feed| feed.with_score(1).with_z(2));
    examine_with(
        function,
        step_through_x0(function),
        feeds.collect(),
        |feed| {
            let [x_t, score, z] = &feed.arrays;
            ddpm_step_through_x0(x_t, score, z, &feed.step)
        },
        |feed, got| {
            let [x_t, score, z] = feed.arrays.clone();
            let hat = x0_hat(&x_t, &score, feed.step.alpha_bar);
            let unscaled = &hat * feed.step.alpha_bar.sqrt() as f32;
            Case::new(feed.name.clone(), of_step(&feed.step), vec![x_t, hat, z], got)
                .other(
                    1,
                    score,
                    "the score stands where x0_hat belongs: predict_x0 makes x0_hat of it",
                )
                .other(1, unscaled, "x0_hat is not divided by sqrt(alpha_bar_t)")
        },
    )
}

#[test]
fn exercise_3_1_direct_step() {
    DIRECT_STEP.tell();
}

#[test]
fn exercise_3_2a_predict_x0() {
    PREDICT_X0.tell();
}

#[test]
fn exercise_3_2b_step_through_x0() {
    THROUGH_X0.tell();
}
