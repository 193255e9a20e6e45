//! What the tests of several tasks share. Nothing here is needed to solve an exercise; it says how solutions are examined.
//!
//! - [`steps`]: reverse steps to try a formula on;
//! - [`step_noise`]: what can go wrong with the noise of a step.

pub mod step_noise;
pub mod steps;
