//! What the posterior methods share about the measurement: checks, projections, and the measurement as it would look at
//! a noisy time.

use ndarray::Array4;
use rand::RngCore;

use crate::error::MethodError;
use crate::parts::normal_like;
use crate::posterior::walk::at_time;
use crate::{PosteriorMethod, Problem};

/// Whether the method can do this problem, before anything is computed.
///
/// # Errors
///
/// [`MethodError::Unsupported`]; a measurement of the wrong shape, or with a NaN.
pub(crate) fn check(method: &dyn PosteriorMethod, problem: &Problem<'_>) -> Result<(), MethodError> {
    method.supports(problem.operator)?;
    // Both look at the measurement's shape and numbers; the adjoint is the cheaper one.
    match problem.operator.as_linear() {
        Some(linear) => linear.adjoint(problem.b)?,
        None => problem.operator.start_image(problem.b)?,
    };
    Ok(())
}

/// `argmin_z 1/2 ||A z - b||^2 + rho/2 ||z - x||^2`; where `rho = 0`, its limit: the nearest image to `x` that explains
/// `b` as well as any can, `x + A^+ (b - A x)`.
pub(crate) fn proximal(
    problem: &Problem<'_>,
    x: &Array4<f32>,
    b: &Array4<f32>,
    rho: f64,
) -> Result<Array4<f32>, MethodError> {
    let linear = problem.operator.linear()?;
    if rho > 0.0 {
        return Ok(linear.prox(x, b, rho)?);
    }
    let unexplained = imaging::residual(problem.operator, b, x)?;
    Ok(x + linear.pseudo_inverse(&unexplained)?)
}

/// `b_t = sqrt(alpha_bar_t) b + sqrt(1 - alpha_bar_t) A z` with fresh `z ~ N(0, I)`: the measurement of an image that
/// has the noise of time `t`.
pub(crate) fn measurement_at(
    problem: &Problem<'_>,
    alpha_bar: f64,
    like: &Array4<f32>,
    rng: &mut dyn RngCore,
) -> Result<Array4<f32>, MethodError> {
    if alpha_bar == 1.0 {
        return Ok(problem.b.clone());
    }
    let noise = problem.operator.apply(&normal_like(like, rng))?;
    Ok(at_time(alpha_bar, problem.b, &noise))
}
