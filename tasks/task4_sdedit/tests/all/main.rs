//! The public tests of task 4 that need no trained prior.

mod guide;

mod formulas;

mod sampler;

mod restore;

mod closed_form;
