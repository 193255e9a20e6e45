//! Blur kernels: the Gaussian, the random shake of a hand, and any image.

use std::f64::consts::TAU;
use std::path::Path;

use ndarray::Array2;
use ndarray_rand::rand_distr::StandardNormal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::light::{Fit, Light};
use crate::operator::{OperatorError, refuse};

/// Moments at which the hand's position is recorded while the shutter is open.
const MOMENTS: usize = 2000;
/// Larger kernels than any image that is meant here.
const MAX_SIZE: usize = 4096;

/// A Gaussian of standard deviation `std` pixels on `size` x `size` pixels, with sum 1.
///
/// # Errors
///
/// A size of 0 or above 4096, or a standard deviation that is not above 0.
pub fn gaussian_kernel(size: usize, std: f64) -> Result<Array2<f64>, OperatorError> {
    let name = "deconvolution";
    check_size(name, size)?;
    if !(std > 0.0 && std.is_finite()) {
        return Err(refuse(
            name,
            "the standard deviation of the Gaussian",
            "above 0 pixels",
            std,
        ));
    }
    // The weights depend on the distance to the middle; half a pixel off where the size is even.
    let middle = (size - 1) as f64 / 2.0;
    let squares = |i: usize| ((i as f64 - middle) / std).powi(2);
    // Relative to the nearest pixel's, so that even a tiny `std` leaves something to divide by.
    let nearest = 2.0 * squares(size / 2);
    let weights = Array2::from_shape_fn((size, size), |(y, x)| {
        (-0.5 * (squares(y) + squares(x) - nearest)).exp()
    });
    normalised(name, weights)
}

/// The path of a point of light while a hand holds the camera, on `size` x `size` pixels, with sum 1.
///
/// The point moves with a velocity whose direction wanders and now and then jumps, as a muscle's twitch makes it; its
/// speed wanders, too. The path is scaled to fit, its centre of mass put into the middle (so that the blurred image is
/// not shifted), and the time spent at each place is shared out among the four nearest pixels. The idea of such random
/// paths: Boracchi and Foi, "Modeling the performance of image restoration from motion blur", 2012; the process is
/// simpler here.
///
/// - `intensity`: 0 to 1, from a straight line to a scrawl
///
/// # Errors
///
/// A size of 0 or above 4096, or an intensity that is not in 0 to 1.
pub fn camera_shake_kernel(size: usize, intensity: f64, seed: u64) -> Result<Array2<f64>, OperatorError> {
    let name = "motion-blur";
    check_size(name, size)?;
    if !(0.0..=1.0).contains(&intensity) {
        return Err(refuse(name, "the intensity", "0 to 1", intensity));
    }
    let path = shake(intensity, &mut StdRng::seed_from_u64(seed));
    normalised(name, rasterise(&path, size))
}

/// A kernel from an image file: brightness (black is 0, and what is transparent, too), divided by its sum. The text
/// says what a user should know of the file; it may be empty.
///
/// # Errors
///
/// A file that is not there or is no image, or one that is black everywhere.
pub(super) fn kernel_from_file(name: &'static str, path: &Path) -> Result<(Array2<f64>, String), OperatorError> {
    let Light { brightness, remark, .. } = Light::read(path, Fit::AsItIs).map_err(|error| OperatorError::File {
        operator: name,
        message: error.to_string(),
    })?;
    if brightness.iter().all(|&value| value == 0.0) {
        return Err(OperatorError::File {
            operator: name,
            message: format!(
                "`{}` is black or transparent everywhere: expected a kernel, whose brightness says how much light goes \
                 where",
                path.display()
            ),
        });
    }
    Ok((normalised(name, brightness.mapv(f64::from))?, remark))
}

fn check_size(name: &'static str, size: usize) -> Result<(), OperatorError> {
    if (1..=MAX_SIZE).contains(&size) {
        return Ok(());
    }
    Err(refuse(
        name,
        "the kernel's size",
        format!("1 to {MAX_SIZE} pixels"),
        size,
    ))
}

fn normalised(name: &'static str, mut weights: Array2<f64>) -> Result<Array2<f64>, OperatorError> {
    let sum = weights.sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(refuse(name, "the sum of the kernel's weights", "above 0", sum));
    }
    weights /= sum;
    Ok(weights)
}

/// Positions `(y, x)`, in no particular unit.
fn shake(intensity: f64, rng: &mut StdRng) -> Vec<[f64; 2]> {
    let mut direction = rng.random_range(0.0..TAU);
    let mut log_speed = 0.0_f64;
    // A full turn, more or less, over the whole path at full intensity; two twitches.
    let wander = intensity * TAU / (MOMENTS as f64).sqrt();
    let twitch = 2.0 * intensity / MOMENTS as f64;
    let mut position = [0.0, 0.0];
    let mut path = Vec::with_capacity(MOMENTS);
    for _ in 0..MOMENTS {
        path.push(position);
        direction += wander * rng.sample::<f64, _>(StandardNormal);
        if rng.random::<f64>() < twitch {
            direction += rng.random_range(0.25..0.75) * TAU;
        }
        // Pulled back to 0, it stays near e^±0.5 and changes over about a fiftieth of the path.
        log_speed += -0.025 * log_speed + 0.1 * rng.sample::<f64, _>(StandardNormal);
        let (sine, cosine) = direction.sin_cos();
        position[0] += log_speed.exp() * sine;
        position[1] += log_speed.exp() * cosine;
    }
    path
}

/// Centres and scales a path into `size` x `size` pixels and adds up the time spent in each.
fn rasterise(path: &[[f64; 2]], size: usize) -> Array2<f64> {
    let mean = |axis: usize| path.iter().map(|p| p[axis]).sum::<f64>() / path.len() as f64;
    let centre = [mean(0), mean(1)];
    let reach = path
        .iter()
        .flat_map(|p| [(p[0] - centre[0]).abs(), (p[1] - centre[1]).abs()])
        .fold(0.0, f64::max);
    // The pixel that a convolution takes as the kernel's middle; what is left on the shorter side bounds the path.
    let middle = (size / 2) as f64;
    let room = (size - 1 - size / 2) as f64;
    let scale = if reach > 0.0 { room / reach } else { 0.0 };
    let mut weights = Array2::zeros((size, size));
    for point in path {
        let at = [0, 1].map(|axis| (middle + scale * (point[axis] - centre[axis])).clamp(0.0, (size - 1) as f64));
        let (y, x) = (at[0].floor() as usize, at[1].floor() as usize);
        let (down, right) = (at[0].fract(), at[1].fract());
        for (dy, part) in [(0, 1.0 - down), (1, down)] {
            for (dx, share) in [(0, 1.0 - right), (1, right)] {
                if let Some(weight) = weights.get_mut((y + dy, x + dx)) {
                    *weight += part * share;
                }
            }
        }
    }
    weights
}
