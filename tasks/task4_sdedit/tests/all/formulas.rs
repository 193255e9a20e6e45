//! Exercises 4.1 and 4.2, to rounding, with given noise.

use checks::Exercise;
use task4_sdedit::{noise_guide, predict_x0, reverse_step};
use testing::formula::{examine_direct_step, examine_predict_x0};
use testing::forward::{Forward, examine_forward};

pub static NOISE_GUIDE: Exercise = Exercise::new("4.1 noise_guide", || {
    let spec = Forward {
        function: "noise_guide",
        formula: "x_{t0} = sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps",
        clean: "the guide",
        alpha_bar: "alpha_bar",
    };
    examine_forward(&spec, noise_guide)
});

pub static PREDICT_X0: Exercise =
    Exercise::new("4.2a predict_x0", || examine_predict_x0(predict_x0)).after(&NOISE_GUIDE);

pub static REVERSE_STEP: Exercise = Exercise::new("4.2b reverse_step", || {
    examine_direct_step("reverse_step", reverse_step)
})
.after(&PREDICT_X0);

#[test]
fn exercise_4_1_noise_guide() {
    NOISE_GUIDE.tell();
}

#[test]
fn exercise_4_2a_predict_x0() {
    PREDICT_X0.tell();
}

#[test]
fn exercise_4_2b_reverse_step() {
    REVERSE_STEP.tell();
}
