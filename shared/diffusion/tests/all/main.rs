//! The tests of the crate, as one program.

mod closed_form;
mod observers;
mod schedule;
mod sde;
mod spacing;
