//! Exercises 2.1 and 2.2, to rounding, with given noise.

use checks::Exercise;
use task2_denoise::{forward_diffusion, tweedie};
use testing::forward::{Forward, examine_forward, examine_tweedie};

pub static FORWARD_DIFFUSION: Exercise = Exercise::new("2.1 forward_diffusion", || {
    let spec = Forward {
        function: "forward_diffusion",
        formula: "x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps",
        clean: "x0",
        alpha_bar: "alpha_bar_t",
    };
    examine_forward(&spec, forward_diffusion)
});

pub static TWEEDIE: Exercise =
    Exercise::new("2.2 tweedie", || examine_tweedie("tweedie", tweedie)).after(&FORWARD_DIFFUSION);

#[test]
fn exercise_2_1_forward_diffusion() {
    FORWARD_DIFFUSION.tell();
}

#[test]
fn exercise_2_2_tweedie() {
    TWEEDIE.tell();
}
