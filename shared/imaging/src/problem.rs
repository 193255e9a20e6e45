//! What every solver of an inverse problem needs beside the operator: measurements, residuals, and how far an operator
//! stretches an image.

use ndarray::{Array4, ArrayRef4, ArrayView3, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::noise::Noise;
use crate::operator::{ForwardOperator, OperatorError};
use crate::random::noise_rng;

/// `b = A(x) + noise`; each image has noise of its own, which depends on
/// `seed` and the image's place among all, whatever the batch is.
///
/// - `truth`: `[B, C, H, W]`
/// - `first`: the place of the batch's first image among all
/// - returns `[B, ...measurement_shape()]`
///
/// # Errors
///
/// As the operator's and the noise's.
pub fn measure(
    operator: &dyn ForwardOperator,
    truth: &ArrayRef4<f32>,
    noise: Noise,
    seed: u64,
    first: usize,
) -> Result<Array4<f32>, OperatorError> {
    let mut b = operator.apply(truth)?;
    for (index, mut one) in b.axis_chunks_iter_mut(Axis(0), 1).enumerate() {
        let noisy = noise.add(&one, &mut noise_rng(seed, first + index))?;
        one.assign(&noisy);
    }
    Ok(b)
}

/// `r = b - A(x)`, what an image leaves unexplained of a measurement.
///
/// - `b`: `[B, ...measurement_shape()]`
/// - `x`: `[B, C, H, W]`
/// - returns an array of the shape of `b`
///
/// # Errors
///
/// If `b` has another shape than the measurements of `x`, or the operator refuses `x`.
pub fn residual(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    x: &ArrayRef4<f32>,
) -> Result<Array4<f32>, OperatorError> {
    let predicted = operator.apply(x)?;
    if b.shape() != predicted.shape() {
        return Err(OperatorError::Measurement {
            operator: operator.name(),
            expected: predicted.shape().to_vec(),
            got: b.shape().to_vec(),
        });
    }
    Ok(b - predicted)
}

/// `||r||`, the Euclidean norm of each image's residual (or of any other part of a batch).
///
/// - `residual`: `[B, ...]`
/// - returns `B` numbers, at least 0
#[must_use]
pub fn norms(residual: &ArrayRef4<f32>) -> Vec<f32> {
    let norm = |one: ArrayView3<'_, f32>| one.iter().map(|&r| f64::from(r).powi(2)).sum::<f64>().sqrt() as f32;
    residual.axis_iter(Axis(0)).map(norm).collect()
}

/// `||b - A(x)||` of each image: what it leaves unexplained of its measurement.
///
/// - arguments as for [`residual`]
/// - returns `B` numbers, at least 0
///
/// # Errors
///
/// As [`residual`].
pub fn residual_norms(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    x: &ArrayRef4<f32>,
) -> Result<Vec<f32>, OperatorError> {
    Ok(norms(&residual(operator, b, x)?))
}

/// The most by which the operator stretches an image: of a linear one its [`norm`](crate::LinearOperator::norm).
///
/// Of a nonlinear operator it is that of the Jacobian at some image of pure noise, the root of the largest eigenvalue
/// of `J^T J`, by power iteration: a hint, no more.
///
/// # Errors
///
/// As the operator's.
pub fn operator_norm(operator: &dyn ForwardOperator) -> Result<f64, OperatorError> {
    const ROUNDS: usize = 30;
    /// A step this small tells the derivative, and is large enough for `f32`.
    const SMALL: f32 = 0.1;
    if let Some(linear) = operator.as_linear() {
        return Ok(linear.norm());
    }
    let [c, h, w] = operator.image_shape();
    let rng = &mut StdRng::seed_from_u64(0);
    let x = Array4::<f32>::random_using((1, c, h, w), StandardNormal, rng);
    let mut direction = Array4::<f32>::random_using((1, c, h, w), StandardNormal, rng);
    let at_x = operator.apply(&x)?;
    let mut stretched = 0.0;
    for _ in 0..ROUNDS {
        let length = norms(&direction)[0];
        if length == 0.0 {
            break;
        }
        let scale = SMALL * ((c * h * w) as f32).sqrt() / length;
        let ahead = operator.apply(&(&x + &direction * scale))?;
        direction = operator.vjp(&x, &((ahead - &at_x) / (scale * length)))?;
        stretched = norms(&direction)[0];
    }
    Ok(f64::from(stretched).sqrt())
}
