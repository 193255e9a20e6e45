//! What the tests of several tasks, and the grader's checks, share. Nothing here is needed to solve an exercise; it
//! says how solutions are examined.
//!
//! - [`formula`], [`forward`]: functions of given arrays, fed with noise, and the sums that their results should be;
//! - [`quantities`]: what the coefficients of a step may be made of, rightly or wrongly;
//! - [`setting`], [`path`]: what a sampler is run with, and the path that it took;
//! - [`sampler`]: a loop from pure noise, judged along its path by [`calls`], [`means`] with [`along`], [`view`],
//!   [`noise_of_steps`] and [`errors`];
//! - [`sdedit`], [`score_ald`], [`dps`]: the loops of tasks 4 to 6;
//! - [`bands`]: what the reference solution reaches on images;
//! - [`arrays`], [`linear`]: noise, its statistics, and linear equations in `f64`.

pub mod along;
pub mod arrays;
pub mod bands;
pub mod calls;
pub mod dps;
pub mod errors;
pub mod formula;
pub mod forward;
pub mod linear;
pub mod means;
pub mod noise_of_steps;
pub mod path;
pub mod quantities;
pub mod sampler;
pub mod score_ald;
pub mod sdedit;
pub mod setting;
pub mod view;

pub use probe;
