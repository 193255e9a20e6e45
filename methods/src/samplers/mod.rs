//! New images from a prior, one sampler to a file.

pub mod ancestral;
pub mod ddim;
mod denoiser;
pub mod dpm_solver;
pub mod edm;
pub mod flow;
