//! Methods against what is known by other means: closed forms, direct calls of the tasks' functions, counts.

mod bayes;
mod calibration;
mod calibration_parts;
mod classical;
mod convergence;
mod ddim;
mod decoupled;
mod distribution;
mod posterior;
mod posterior_corners;
mod posterior_limits;
mod posterior_steps;
mod program;
mod replay;
mod samplers;
mod solvers;
