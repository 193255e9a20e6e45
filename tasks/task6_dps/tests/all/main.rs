//! The public tests of task 6 that need no trained prior.

mod formulas;

mod gradient;

mod sampler;

mod closed_form;
