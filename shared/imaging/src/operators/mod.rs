//! The forward operators, one to a file, their list, and what they share.

mod colourisation;
mod compressed_sensing;
mod convolution;
mod fourier;
mod hdr;
mod inpainting;
mod kernels;
mod phase_retrieval;
mod planes;
mod reflection;
mod super_resolution;
mod tomography;

use std::path::Path;

use crate::entry::Entry;
use crate::operator::{OperatorError, refuse};

pub use colourisation::Colourisation;
pub use compressed_sensing::CompressedSensing;
pub use convolution::Convolution;
pub use fourier::Fourier;
pub use hdr::HdrResponse;
pub use inpainting::Inpainting;
pub use kernels::{camera_shake_kernel, gaussian_kernel};
pub use phase_retrieval::PhaseRetrieval;
pub use super_resolution::SuperResolution;
pub use tomography::Tomography;

/// What the command line knows, in the order of its help.
pub(crate) static ENTRIES: &[Entry] = &[
    inpainting::RANDOM,
    inpainting::CENTRED_BOX,
    inpainting::MASK_FILE,
    convolution::GAUSSIAN,
    convolution::MOTION_BLUR,
    convolution::KERNEL_FILE,
    super_resolution::ENTRY,
    colourisation::ENTRY,
    compressed_sensing::ENTRY,
    tomography::ENTRY,
    fourier::ENTRY,
    phase_retrieval::ENTRY,
    hdr::ENTRY,
];

/// An image has at least one channel, row and column.
fn check_image_shape(operator: &'static str, shape: [usize; 3]) -> Result<(), OperatorError> {
    if shape.iter().all(|&side| side > 0) {
        return Ok(());
    }
    Err(refuse(
        operator,
        "the image shape [C, H, W]",
        "at least one of each",
        format!("{shape:?}"),
    ))
}

/// The end of a description of what came from a file, with what a user should know of that.
fn from_file(path: &Path, remark: &str) -> String {
    match remark {
        "" => format!(", from `{}`", path.display()),
        remark => format!(", from `{}` ({remark})", path.display()),
    }
}
