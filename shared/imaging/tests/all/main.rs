//! The tests of imaging, in one program.

mod blur;
mod common;
mod files;
mod fourier;
mod linear;
mod operator_spec;
mod operators;
mod range;
mod spectral;
mod tomography;
