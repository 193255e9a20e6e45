//! What the tests of the loops share: a prior in closed form, and guides to start from.

use diffusion::{GaussianModel, Schedule};
use ndarray::{Array1, Array4};

/// `[C, H, W]` of all images here.
pub const SHAPE: [usize; 3] = [2, 8, 8];
/// A batch of them.
pub const BATCH: (usize, usize, usize, usize) = (6, 2, 8, 8);

/// Pixels around 0.2, each with a variance of its own.
pub fn prior() -> GaussianModel {
    let d = SHAPE.iter().product::<usize>();
    let variances = Array1::from_shape_fn(d, |i| 0.05 + 0.002 * i as f64);
    GaussianModel::diagonal(Schedule::linear(), SHAPE, Array1::from_elem(d, 0.2), variances).unwrap()
}

/// No two images alike, and none symmetric.
pub fn guide() -> Array4<f32> {
    Array4::from_shape_fn(BATCH, |(b, c, y, x)| {
        0.7 * ((1 + b) as f32 * 0.5 + c as f32 + 0.8 * y as f32 - 0.3 * (x * y) as f32).sin()
    })
}
