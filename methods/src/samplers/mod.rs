//! New images from a prior, one sampler to a file.

pub mod ancestral;
pub mod ddim;
