//! Exercise 4.4: the mask in the loop.

use checks::{Exercise, Fault, Guard, SAMPLER};
use testing::path::Path;
use testing::sdedit::masked;

use crate::outside::KEEP_OUTSIDE;
use crate::sampler::{LOOP, sampler};

pub static MASKED_LOOP: Exercise = Exercise::new("4.4 sdedit", examine)
    .needs(&[&LOOP, &KEEP_OUTSIDE])
    .after(&KEEP_OUTSIDE);

fn examine() -> Result<(), Fault> {
    let mut guard = Guard::new("sdedit with a mask", SAMPLER);
    masked::judge(&mut |setting| Path::take(&mut guard, sampler, setting))
}

#[test]
fn exercise_4_4_the_loop_with_a_mask() {
    MASKED_LOOP.tell();
}
