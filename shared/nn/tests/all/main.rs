//! The ops and their gradients, on every backend at hand; the optimiser; weights files.

mod backends;
mod dfdx_on_gpus;
mod ops;
mod training;
mod weights;
