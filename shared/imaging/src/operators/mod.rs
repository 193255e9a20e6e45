//! The forward operators, one to a file, and what they share.

mod colourisation;
mod compressed_sensing;
mod convolution;
mod hdr;
mod inpainting;
mod kernels;
mod phase_retrieval;
mod super_resolution;

use ndarray::{Array4, ArrayRef4};
use rayon::prelude::*;

use crate::operator::{ForwardOperator, OperatorError, check_batch};

pub use colourisation::Colourisation;
pub use compressed_sensing::CompressedSensing;
pub use convolution::Convolution;
pub use hdr::HdrResponse;
pub use inpainting::Inpainting;
pub use kernels::{camera_shake_kernel, gaussian_kernel};
pub use phase_retrieval::PhaseRetrieval;
pub use super_resolution::SuperResolution;

fn check_images(operator: &dyn ForwardOperator, x: &ArrayRef4<f32>) -> Result<(), OperatorError> {
    check_batch(operator.name(), "the batch of images", x, operator.image_shape())
}

fn check_measurement(operator: &dyn ForwardOperator, b: &ArrayRef4<f32>) -> Result<(), OperatorError> {
    check_batch(operator.name(), "the measurement", b, operator.measurement_shape())
}

fn check_pullback(operator: &dyn ForwardOperator, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<(), OperatorError> {
    check_images(operator, x)?;
    check_batch(
        operator.name(),
        "the vector to pull back",
        v,
        operator.measurement_shape(),
    )?;
    let (images, vectors) = (x.shape()[0], v.shape()[0]);
    if images == vectors {
        return Ok(());
    }
    Err(OperatorError::BatchSize {
        operator: operator.name(),
        images,
        vectors,
    })
}

/// A parameter that lies outside its range.
fn refuse(
    operator: &'static str,
    what: impl Into<String>,
    expected: impl Into<String>,
    got: impl ToString,
) -> OperatorError {
    OperatorError::Parameter {
        operator,
        what: what.into(),
        expected: expected.into(),
        got: got.to_string(),
    }
}

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

/// Maps each plane `[H][W]` of a batch to a plane `[height][width]`, in parallel. `memory` is made once per thread or a
/// few times more. As no plane knows of another, the bits are the same at any number of threads.
fn map_planes<M>(
    batch: &ArrayRef4<f32>,
    [height, width]: [usize; 2],
    memory: impl Fn() -> M + Sync + Send,
    map: impl Fn(&mut M, &[f32], &mut [f32]) + Sync + Send,
) -> Array4<f32> {
    let (images, channels, from_height, from_width) = batch.dim();
    let mut mapped = Array4::zeros((images, channels, height, width));
    let (from, to) = (from_height * from_width, height * width);
    // An empty plane has nothing to say: it maps to zeros.
    if from == 0 || to == 0 {
        return mapped;
    }
    let batch = batch.as_standard_layout();
    if let (Some(batch), Some(mapped)) = (batch.as_slice(), mapped.as_slice_mut()) {
        mapped
            .par_chunks_exact_mut(to)
            .zip(batch.par_chunks_exact(from))
            .for_each_init(memory, |memory, (to, from)| map(memory, from, to));
    }
    mapped
}
