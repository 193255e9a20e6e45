//! The public tests of task 5 that need no trained prior.

mod formulas;

mod likelihood;

mod likelihood_terms;

mod sampler;

mod statistics;
