//! The tests of imaging, in one program.

mod blur;
mod colours;
mod common;
mod damaged;
mod files;
mod fourier;
mod linear;
mod listing;
mod masks;
mod operator_spec;
mod operators;
mod range;
mod spectral;
mod tomography;
