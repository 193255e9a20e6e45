//! Images: reading them from files, folders and zip archives, writing them, and simple filters on them.
//!
//! Inside the workspace one image is an `ndarray::Array3<f32>` `[C, H, W]`, a batch is an `Array4<f32>` `[B, C, H, W]`,
//! and a pixel lies in [-1, 1]. Bytes exist only at file I/O; [`from_byte`] and [`to_byte`] are the one place where
//! the two meet.
//!
//! - [`load_images`]: a user's own images, each with a name and a note on how it was made to fit;
//! - [`ImageList`]: the same in two steps, to read no more than is wanted and to say what was passed over;
//! - [`load_split`]: the `train` or `test` part of a data set, as bytes in one block; [`load_split_some`]: some of it;
//! - [`load_mask`]: where an image may change;
//! - [`decode_image`], [`decode_mask`]: one of either from bytes that are no file;
//! - [`save_png`], [`grid`]: writing one image, and putting several side by side;
//! - [`gaussian_blur`], [`best_gaussian_blur`]: the classical denoiser that a prior is compared with;
//! - [`ForwardOperator`]: the `A` of `b = A(x) + noise`, with [`parse_operator`] for its names on the command line, and
//!   [`Noise`]; [`LinearOperator`] and [`SpectralOperator`] for what not every operator can do;
//! - [`measure`], [`residual`], [`norms`]: what every solver of an inverse problem needs beside; [`coverage`]:
//!   whether there is anything to solve;
//! - [`Symmetry`]: what an operator cannot tell, and a reconstruction is not judged by;
//! - [`sampler_rng`]: random numbers of its own for each call of a sampler.
//!
//! This crate knows neither networks nor files of weights.

mod blur;
mod coverage;
mod decode;
mod entry;
mod error;
mod fft;
mod fit;
mod hartley;
mod jpeg;
mod light;
mod list;
mod load;
mod nearest;
mod noise;
mod operator;
mod operator_spec;
mod operators;
mod passed_over;
mod problem;
mod profile;
mod random;
mod range;
mod save;
mod solve;
mod source;
mod split;
mod symmetry;

pub use blur::{best_gaussian_blur, gaussian_blur};
pub use coverage::{Coverage, coverage};
pub use error::ImageError;
pub use light::{Mask, decode_mask, load_mask};
pub use list::ImageList;
pub use load::{NamedImage, decode_image, load_images};
pub use noise::Noise;
pub use operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator};
pub use operator_spec::{KnownOperator, LARGE, OperatorSpec, known_operators, operator_list, parse_operator};
pub use operators::{
    Colourisation, CompressedSensing, Convolution, Fourier, HdrResponse, Inpainting, PhaseRetrieval, SuperResolution,
    Tomography, camera_shake_kernel, gaussian_kernel,
};
pub use problem::{measure, norms, operator_norm, residual, residual_norms};
pub use random::sampler_rng;
pub use range::{from_byte, to_byte};
pub use save::{grid, save_png, stack};
pub use split::{PixelSet, load_split, load_split_some};
pub use symmetry::Symmetry;
