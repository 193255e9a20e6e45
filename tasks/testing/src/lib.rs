//! What the tests of several tasks share. Nothing here is needed to solve an exercise; it says how solutions are
//! examined.
//!
//! - [`formula`], [`forward`]: functions of given arrays, fed with noise, and the sums that their results should be;
//! - [`quantities`]: what the coefficients of a step may be made of, rightly or wrongly;
//! - [`probe`]: a model and an operator that remember what they were asked;
//! - [`path`], [`sampler`], [`calls`], [`along`]: a run of a sampler, judged along the path that it took itself;
//! - [`noise_of_steps`], [`still`]: its random numbers, and some that are known;
//! - [`view`]: what an observer has to see;
//! - [`bands`]: what the reference solution reaches on images;
//! - [`arrays`], [`linear`]: noise, its statistics, and linear equations in `f64`.

pub mod along;
pub mod arrays;
pub mod bands;
pub mod calls;
pub mod formula;
pub mod forward;
pub mod linear;
pub mod noise_of_steps;
pub mod path;
pub mod probe;
pub mod quantities;
pub mod sampler;
pub mod still;
pub mod view;
