//! Solvers of least squares with a penalty on the image's gradient, for the classical methods.
//!
//! Both take any linear operator, treat each image by itself, and run until a stated accuracy is reached.
//!
//! `D x` is the gradient by forward differences: to the right and downward neighbour, 0 across the border. Its norm
//! is below `sqrt(8)`.

use imaging::{ForwardOperator, LinearOperator, OperatorError};
use ndarray::{Array4, ArrayRef4, Axis, s};
use rayon::prelude::*;

/// Relative residual of the normal equations at which [`tikhonov`] stops. `f32` operators allow little less.
const TIKHONOV_TOLERANCE: f64 = 1e-5;
const TIKHONOV_ITERATIONS: usize = 2000;
/// Relative primal-dual gap at which [`total_variation`] stops.
const TV_TOLERANCE: f64 = 1e-4;
const TV_ITERATIONS: usize = 5000;
/// The gap costs as much as an iteration, so it is looked at now and then.
const TV_CHECK_EVERY: usize = 20;
/// `||D||^2` is below this: each difference has two terms, in each of two directions.
const GRADIENT_NORM_SQUARED: f64 = 8.0;

/// Reconstructed images, and how well they solve the problem.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// `[B, C, H, W]`
    pub images: Array4<f32>,
    /// Iterations that the slowest image of the batch took.
    pub iterations: usize,
    /// The worst image's relative accuracy, in the sense that the solver states; at most its tolerance unless the
    /// iterations ran out.
    pub accuracy: f64,
    /// Whether every image reached the solver's tolerance.
    pub converged: bool,
}

/// Tikhonov regularisation, `argmin_x ||A x - b||^2 + lambda ||D x||^2`.
///
/// Solves the normal equations `(A^T A + lambda D^T D) x = A^T b` by conjugate gradients (Hestenes and Stiefel 1952)
/// from `x = 0`, until the residual is 1e-5 of `||A^T b||` (at most 2000 iterations; [`Reconstruction::accuracy`] is
/// this ratio). The result is not clipped to [-1, 1].
///
/// - `b`: measurements `[B, ...measurement_shape()]`
/// - `lambda`: 0 or more
///
/// # Errors
///
/// [`OperatorError::NotLinear`], a `lambda` out of range, and what [`ForwardOperator::apply`] refuses.
pub fn tikhonov(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    lambda: f64,
) -> Result<Reconstruction, OperatorError> {
    check(operator, "tikhonov", lambda)?;
    each_image(operator, b, TIKHONOV_TOLERANCE, |b| {
        conjugate_gradients(operator, b, lambda)
    })
}

/// Total-variation regularisation, `argmin_x 1/2 ||A x - b||^2 + lambda TV(x)` over images with pixels in [-1, 1].
///
/// `TV(x) = sum_p ||(D x)_p||` with the norm over both directions and all channels at a pixel (isotropic and vectorial:
/// Blomgren and Chan 1998), so that channels share their edges.
///
/// Solved by the primal-dual method of Condat 2013 and Vũ 2013, which is that of Chambolle and Pock 2011 with a
/// gradient step on the squares. With `B = [-1, 1]^N`, `P` the projections, and steps `1/tau = L/2 + 8 s + margin`:
///
/// ```text
/// x+ = P_B(x - tau (A^T (A x - b) + D^T q))
/// q+ = P_{||q_p|| <= lambda}(q + s D (2 x+ - x))
/// ```
///
/// It stops when the gap between `x` and the dual value of `(p, q)`, `p = A x - b`,
///
/// ```text
/// 1/2 ||p||^2 + lambda TV(x) + 1/2 ||p||^2 + <p, b> + ||A^T p + D^T q||_1
/// ```
///
/// (the last term is the box's support function) falls to 1e-4 of the primal value: then `x` is as close to optimal,
/// whatever the steps were. At most 5000 iterations; [`Reconstruction::accuracy`] is this ratio.
///
/// - `b`: measurements `[B, ...measurement_shape()]`
/// - `lambda`: 0 or more
///
/// # Errors
///
/// As [`tikhonov`].
pub fn total_variation(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    lambda: f64,
) -> Result<Reconstruction, OperatorError> {
    let norm = check(operator, "total variation", lambda)?.norm();
    // Where no closed form is known, the norm is an estimate from below.
    let norm_squared = 1.05 * norm.powi(2);
    each_image(operator, b, TV_TOLERANCE, |b| {
        PrimalDual::new(operator, b, lambda, norm_squared).run()
    })
}

/// What a solver found for one image.
struct Solved {
    image: Array4<f32>,
    iterations: usize,
    accuracy: f64,
}

fn check<'a>(
    operator: &'a dyn ForwardOperator,
    method: &'static str,
    lambda: f64,
) -> Result<&'a dyn LinearOperator, OperatorError> {
    let linear = operator.linear()?;
    if (0.0..=1e6).contains(&lambda) {
        return Ok(linear);
    }
    Err(OperatorError::Parameter {
        operator: method,
        what: "lambda".into(),
        expected: "0 to 1e6".into(),
        got: lambda.to_string(),
    })
}

/// Solves for each image by itself, in parallel: an easy one does not wait for a hard one, and a batch gives the bits
/// of its images.
fn each_image(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    tolerance: f64,
    solve: impl Fn(&ArrayRef4<f32>) -> Result<Solved, OperatorError> + Sync,
) -> Result<Reconstruction, OperatorError> {
    // Shapes and numbers are checked once for the whole batch, so that a message counts images as the caller does.
    let mut images = operator.linear()?.adjoint(b)?;
    let solved: Vec<Solved> = (0..b.shape()[0])
        .into_par_iter()
        .map(|index| solve(&b.slice(s![index..=index, .., .., ..])))
        .collect::<Result<_, _>>()?;
    let mut slowest = (0, 0.0_f64);
    for (mut image, solved) in images.axis_chunks_iter_mut(Axis(0), 1).zip(solved) {
        image.assign(&solved.image);
        slowest = (slowest.0.max(solved.iterations), slowest.1.max(solved.accuracy));
    }
    Ok(Reconstruction {
        images,
        iterations: slowest.0,
        accuracy: slowest.1,
        converged: slowest.1 <= tolerance,
    })
}

fn dot(a: &ArrayRef4<f32>, b: &ArrayRef4<f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `a + factor b`.
fn add_scaled(a: &mut Array4<f32>, factor: f64, b: &Array4<f32>) {
    a.zip_mut_with(b, |a, &b| *a = (f64::from(*a) + factor * f64::from(b)) as f32);
}

fn conjugate_gradients(
    operator: &dyn ForwardOperator,
    b: &ArrayRef4<f32>,
    lambda: f64,
) -> Result<Solved, OperatorError> {
    let [channels, height, width] = operator.image_shape();
    let mut x = Array4::zeros((1, channels, height, width));
    // For a linear operator the image that the VJP is asked at does not matter.
    let mut residual = operator.vjp(&x, b)?;
    let mut direction = residual.clone();
    let start = dot(&residual, &residual);
    let mut squares = start;
    let mut iterations = 0;
    while squares > TIKHONOV_TOLERANCE.powi(2) * start && iterations < TIKHONOV_ITERATIONS {
        let mut image = operator.vjp(&x, &operator.apply(&direction)?)?;
        add_scaled(&mut image, lambda, &divergence(&gradient(&direction)));
        let curvature = dot(&direction, &image);
        // Only a direction that neither the operator nor the gradient sees; there is nothing to gain along it.
        if curvature <= 0.0 {
            break;
        }
        let step = squares / curvature;
        add_scaled(&mut x, step, &direction);
        add_scaled(&mut residual, -step, &image);
        let next = dot(&residual, &residual);
        let ratio = next / squares;
        direction.zip_mut_with(&residual, |d, &r| *d = (f64::from(r) + ratio * f64::from(*d)) as f32);
        squares = next;
        iterations += 1;
    }
    let accuracy = if start > 0.0 { (squares / start).sqrt() } else { 0.0 };
    Ok(Solved {
        image: x,
        iterations,
        accuracy,
    })
}

/// `D x` of one image `[1, C, H, W]`: to the right in `[0, C, H, W]`, downward in `[1, C, H, W]`.
fn gradient(x: &ArrayRef4<f32>) -> Array4<f32> {
    let (_, channels, height, width) = x.dim();
    let mut gradient = Array4::zeros((2, channels, height, width));
    for (direction, axis) in [(0, Axis(2)), (1, Axis(1))] {
        let image = x.index_axis(Axis(0), 0);
        let mut differences = gradient.index_axis_mut(Axis(0), direction);
        let (here, next) = (
            image.slice_axis(axis, (..-1).into()),
            image.slice_axis(axis, (1..).into()),
        );
        let mut to = differences.slice_axis_mut(axis, (..-1).into());
        to.assign(&next);
        to -= &here;
    }
    gradient
}

/// `D^T q`, `[1, C, H, W]`: minus the divergence.
fn divergence(q: &ArrayRef4<f32>) -> Array4<f32> {
    let (_, channels, height, width) = q.dim();
    let mut image = Array4::zeros((1, channels, height, width));
    for (direction, axis) in [(0, Axis(2)), (1, Axis(1))] {
        let differences = q.index_axis(Axis(0), direction);
        let from = differences.slice_axis(axis, (..-1).into());
        let mut image = image.index_axis_mut(Axis(0), 0);
        let mut next = image.slice_axis_mut(axis, (1..).into());
        next += &from;
        let mut here = image.slice_axis_mut(axis, (..-1).into());
        here -= &from;
    }
    image
}

/// `||(D x)_p||` at each pixel, over both directions and all channels, added up.
fn sum_of_norms(gradient: &ArrayRef4<f32>) -> f64 {
    lengths(gradient).sum()
}

fn lengths(gradient: &ArrayRef4<f32>) -> impl Iterator<Item = f64> {
    let (_, _, height, width) = gradient.dim();
    let mut squares = ndarray::Array2::<f64>::zeros((height, width));
    for plane in gradient.outer_iter().flat_map(|one| one.into_outer_iter()) {
        squares.zip_mut_with(&plane, |sum, &value| *sum += f64::from(value).powi(2));
    }
    squares.into_iter().map(f64::sqrt)
}

/// The state of the primal-dual method for one image.
struct PrimalDual<'a> {
    operator: &'a dyn ForwardOperator,
    b: &'a ArrayRef4<f32>,
    lambda: f64,
    /// Primal and dual step.
    tau: f64,
    s: f64,
    x: Array4<f32>,
    q: Array4<f32>,
}

impl<'a> PrimalDual<'a> {
    fn new(operator: &'a dyn ForwardOperator, b: &'a ArrayRef4<f32>, lambda: f64, norm_squared: f64) -> Self {
        let [channels, height, width] = operator.image_shape();
        // The image's numbers are about 1, the dual variable's about lambda: the steps' ratio follows. On the pinned
        // problems a third or three times as much takes as many iterations or up to three times more.
        let s = lambda.clamp(1e-3, 1.0);
        Self {
            operator,
            b,
            lambda,
            tau: 1.0 / (norm_squared / 2.0 + GRADIENT_NORM_SQUARED * s + 1e-3),
            s,
            x: Array4::zeros((1, channels, height, width)),
            q: Array4::zeros((2, channels, height, width)),
        }
    }

    fn run(mut self) -> Result<Solved, OperatorError> {
        let mut iterations = 0;
        let mut accuracy = self.relative_gap()?;
        while accuracy > TV_TOLERANCE && iterations < TV_ITERATIONS {
            for _ in 0..TV_CHECK_EVERY {
                self.step()?;
            }
            iterations += TV_CHECK_EVERY;
            accuracy = self.relative_gap()?;
        }
        Ok(Solved {
            image: self.x,
            iterations,
            accuracy,
        })
    }

    /// `A x - b`.
    fn residual(&self) -> Result<Array4<f32>, OperatorError> {
        Ok(self.operator.apply(&self.x)? - self.b)
    }

    fn step(&mut self) -> Result<(), OperatorError> {
        let downhill = self.operator.vjp(&self.x, &self.residual()?)? + divergence(&self.q);
        let mut next = self.x.clone();
        add_scaled(&mut next, -self.tau, &downhill);
        next.mapv_inplace(|pixel| pixel.clamp(-1.0, 1.0));
        let ahead = &next * 2.0 - &self.x;
        add_scaled(&mut self.q, self.s, &gradient(&ahead));
        self.shorten();
        self.x = next;
        Ok(())
    }

    /// Projects `q` onto vectors of length `lambda` at most at each pixel.
    fn shorten(&mut self) {
        let lambda = self.lambda;
        let factors: Vec<f32> = lengths(&self.q)
            .map(|length| if length > lambda { (lambda / length) as f32 } else { 1.0 })
            .collect();
        // Each pixel's factor serves all planes, which follow one another.
        for (value, factor) in self.q.iter_mut().zip(factors.iter().cycle()) {
            *value *= factor;
        }
    }

    /// The primal-dual gap, divided by the primal value.
    fn relative_gap(&self) -> Result<f64, OperatorError> {
        let p = self.residual()?;
        let primal = 0.5 * dot(&p, &p) + self.lambda * sum_of_norms(&gradient(&self.x));
        let balance = self.operator.vjp(&self.x, &p)? + divergence(&self.q);
        let support: f64 = balance.iter().map(|&value| f64::from(value).abs()).sum();
        let gap = primal + 0.5 * dot(&p, &p) + dot(&p, self.b) + support;
        Ok(if primal > 0.0 { gap / primal } else { 0.0 })
    }
}
