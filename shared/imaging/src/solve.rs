//! Iterative linear algebra for operators that are known by what they do to a vector, not as a matrix.
//!
//! Vectors are single images or measurements `[1, C, H, W]` in `f32`; their inner products are added up in `f64`.

use ndarray::{Array4, ArrayRef4, Axis, s};
use rayon::prelude::*;

/// When an iteration has done enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// The residual's norm, relative to that of the right-hand side.
    tolerance: f64,
    rounds: usize,
}

impl Stop {
    /// For least squares. `f32` operators allow little less than 1e-6. Where that many rounds are not enough, what is
    /// missing is measured with so little of its size that noise would drown it.
    pub(crate) const PSEUDO_INVERSE: Self = Self {
        tolerance: 1e-6,
        rounds: 100,
    };
    /// For systems with `r2 A A^T + sigma2 I`.
    pub(crate) const GRAM: Self = Self {
        tolerance: 1e-6,
        rounds: 500,
    };
}

/// Solves for each image of a batch by itself, in parallel: an easy one does not wait for a hard one, and a batch gives
/// the bits of its images.
pub(crate) fn each_image(
    batch: &ArrayRef4<f32>,
    [channels, height, width]: [usize; 3],
    solve: impl Fn(&ArrayRef4<f32>) -> Array4<f32> + Sync,
) -> Array4<f32> {
    let solved: Vec<Array4<f32>> = (0..batch.shape()[0])
        .into_par_iter()
        .map(|index| solve(&batch.slice(s![index..=index, .., .., ..])))
        .collect();
    let mut all = Array4::zeros((solved.len(), channels, height, width));
    for (mut one, solved) in all.axis_chunks_iter_mut(Axis(0), 1).zip(solved) {
        one.assign(&solved);
    }
    all
}

/// `S^{-1} b` for a symmetric positive semi-definite `S`, by conjugate gradients from 0 (Hestenes and Stiefel 1952).
pub(crate) fn conjugate_gradients(
    s: impl Fn(&ArrayRef4<f32>) -> Array4<f32>,
    b: &ArrayRef4<f32>,
    stop: Stop,
) -> Array4<f32> {
    let mut x = Array4::zeros(b.dim());
    let mut residual = b.to_owned();
    let mut direction = residual.clone();
    let mut squares = dot(&residual, &residual);
    let enough = stop.tolerance.powi(2) * squares;
    for _ in 0..stop.rounds {
        if squares <= enough {
            break;
        }
        let image = s(&direction);
        let curvature = dot(&direction, &image);
        // Only a direction that `S` does not see: there is nothing to gain along it.
        if curvature <= 0.0 {
            break;
        }
        let step = squares / curvature;
        add_scaled(&mut x, step, &direction);
        add_scaled(&mut residual, -step, &image);
        let next = dot(&residual, &residual);
        turn(&mut direction, next / squares, &residual);
        squares = next;
    }
    x
}

/// `argmin_x ||A x - b||` of least norm, by conjugate gradients on `A^T A x = A^T b` from 0, which never leave the
/// range of `A^T` (CGLS: Hestenes and Stiefel 1952, section 10).
pub(crate) fn least_squares(
    a: impl Fn(&ArrayRef4<f32>) -> Array4<f32>,
    adjoint: impl Fn(&ArrayRef4<f32>) -> Array4<f32>,
    b: &ArrayRef4<f32>,
    stop: Stop,
) -> Array4<f32> {
    let mut residual = b.to_owned();
    let mut gradient = adjoint(&residual);
    let mut x = Array4::zeros(gradient.dim());
    let mut direction = gradient.clone();
    let mut squares = dot(&gradient, &gradient);
    let enough = stop.tolerance.powi(2) * squares;
    for _ in 0..stop.rounds {
        if squares <= enough {
            break;
        }
        let image = a(&direction);
        let curvature = dot(&image, &image);
        if curvature <= 0.0 {
            break;
        }
        let step = squares / curvature;
        add_scaled(&mut x, step, &direction);
        add_scaled(&mut residual, -step, &image);
        gradient = adjoint(&residual);
        let next = dot(&gradient, &gradient);
        turn(&mut direction, next / squares, &gradient);
        squares = next;
    }
    x
}

/// The largest eigenvalue of a symmetric positive semi-definite `S` on images `[C, H, W]`, from below: 100 rounds of
/// power iteration.
///
/// It starts from an image of ones with a little unevenness: for a blur that is the eigenvector already, and no image
/// that is merely antisymmetric is missed.
pub(crate) fn largest_eigenvalue(
    [channels, height, width]: [usize; 3],
    s: impl Fn(&ArrayRef4<f32>) -> Array4<f32>,
) -> f64 {
    const ROUNDS: usize = 100;
    let mut x = Array4::from_shape_fn((1, channels, height, width), |(_, c, y, x)| {
        1.0 + 0.5 * ((c * 5 + y * 7 + x * 3 + y * x) % 11) as f32 / 11.0
    });
    let mut estimate = 0.0;
    for _ in 0..ROUNDS {
        let length = dot(&x, &x).sqrt();
        if length == 0.0 {
            return 0.0;
        }
        x.mapv_inplace(|value| (f64::from(value) / length) as f32);
        x = s(&x);
        estimate = dot(&x, &x).sqrt();
    }
    estimate
}

fn dot(a: &ArrayRef4<f32>, b: &ArrayRef4<f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `a + factor b`.
fn add_scaled(a: &mut Array4<f32>, factor: f64, b: &ArrayRef4<f32>) {
    a.zip_mut_with(b, |a, &b| *a = (f64::from(*a) + factor * f64::from(b)) as f32);
}

/// The next direction: `residual + ratio direction`.
fn turn(direction: &mut Array4<f32>, ratio: f64, residual: &ArrayRef4<f32>) {
    direction.zip_mut_with(residual, |d, &r| *d = (f64::from(r) + ratio * f64::from(*d)) as f32);
}
