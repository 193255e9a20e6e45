//! What the tests of several tasks share. Nothing here is needed to solve an exercise; it says how solutions are
//! examined.
//!
//! - [`arrays`]: noise, its statistics, and how alike two batches are;
//! - [`forward`]: functions that know `alpha_bar` alone;
//! - [`still`]: random numbers that are known;
//! - [`linear`]: linear equations in `f64`;
//! - [`steps`]: reverse steps to try a formula on;
//! - [`ddpm_step`], [`step_noise`]: what can go wrong with a step, and with its noise;
//! - [`tweedie`]: what can go wrong with Tweedie's formula, which every task has;
//! - [`run`]: a prior that remembers what it was asked, and what is left of a run of a sampler on it;
//! - [`loops`]: what every sampler's loop has to do, seen from outside;
//! - [`watch`]: what an observer has to see;
//! - [`bands`]: what the reference solution reaches on images.

pub mod arrays;
pub mod bands;
pub mod ddpm_step;
pub mod formula;
pub mod forward;
pub mod linear;
pub mod loops;
pub mod noise_of_steps;
pub mod path;
pub mod probe;
pub mod quantities;
pub mod run;
pub mod sampler;
pub mod step_noise;
pub mod steps;
pub mod still;
pub mod tweedie;
pub mod view;
pub mod watch;
