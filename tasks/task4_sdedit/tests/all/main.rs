//! The public tests of task 4 that need no trained prior.

mod formulas;

mod outside;

mod sampler;

mod sampler_mask;

mod solver;

mod closed_form;
