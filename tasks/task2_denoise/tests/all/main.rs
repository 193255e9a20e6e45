//! The public tests of task 2 that need no trained prior.

mod formulas;

mod model;

mod single_step;

mod closed_form;
