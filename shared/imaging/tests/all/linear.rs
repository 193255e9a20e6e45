//! What only a linear operator can do, against dense linear algebra.

use imaging::{
    Colourisation, CompressedSensing, Convolution, ForwardOperator, Fourier, Inpainting, LinearOperator, OperatorError,
    OperatorKind, SuperResolution, Tomography, operator_norm, residual,
};
use ndarray::{Array2, Array4, ArrayRef4};

use crate::common::{Result, boxed, columns, crooked, label, linear_operators, matrix, norm, normal, solve};

/// One of each, small enough for dense matrices, on odd sides.
fn small() -> Result<Vec<Box<dyn ForwardOperator>>> {
    let shape = [3, 6, 9];
    Ok(vec![
        boxed(Inpainting::random(shape, 0.7, 1)?),
        boxed(Inpainting::random(shape, 1.0, 1)?),
        boxed(Inpainting::centred_box(shape, 4)?),
        boxed(Convolution::gaussian(shape, 5, 1.5)?),
        boxed(Convolution::from_kernel([2, 5, 7], &crooked(4, 3))?),
        boxed(SuperResolution::new(shape, 3)?),
        boxed(Colourisation::new(shape)?),
        boxed(CompressedSensing::new(shape, 0.4, 1)?),
        boxed(Fourier::new(shape, 0.4, 1)?),
        boxed(Tomography::new(shape, 5)?),
        boxed(Tomography::new([1, 5, 7], 12)?),
        boxed(Doubled(Inpainting::random(shape, 0.5, 1)?)),
    ])
}

/// An operator that brings nothing of its own but `apply` and `vjp`, so that all defaults are used.
#[derive(Debug)]
struct Doubled(Inpainting);

impl ForwardOperator for Doubled {
    fn name(&self) -> &'static str {
        "doubled"
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::ScatteredMask
    }

    fn description(&self) -> String {
        "twice a mask".into()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.0.image_shape()
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.0.measurement_shape()
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.0.apply_unchecked(x) * 2.0
    }

    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.0.vjp_unchecked(x, v) * 2.0
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for Doubled {}

/// The norm of the difference, relative to that of `expected`.
fn difference(got: &ArrayRef4<f32>, expected: &Array2<f64>) -> f64 {
    let got = columns(got);
    assert_eq!(got.dim(), expected.dim());
    let norm = |a: &Array2<f64>| a.iter().map(|value| value * value).sum::<f64>().sqrt();
    norm(&(got - expected)) / norm(expected).max(f64::MIN_POSITIVE)
}

fn plus_diagonal(mut matrix: Array2<f64>, value: f64) -> Array2<f64> {
    matrix.diag_mut().iter_mut().for_each(|entry| *entry += value);
    matrix
}

#[test]
fn the_adjoint_is_the_transposed_matrix() -> Result {
    for operator in small()? {
        let a = matrix(&*operator)?;
        let v = normal(2, operator.measurement_shape(), 1);
        let error = difference(&operator.linear()?.adjoint(&v)?, &a.t().dot(&columns(&v)));
        assert!(error <= 1e-5, "{}: {error:e}", label(&*operator));
    }
    Ok(())
}

/// The matrix is `f32` to begin with; conjugate gradients stop at 1e-6 of the right-hand side, which the system's
/// condition, 100 at most here, may blow up to 1e-4 in the solution.
#[test]
fn solve_gram_solves_the_dense_system() -> Result {
    for operator in small()? {
        let a = matrix(&*operator)?;
        let v = normal(2, operator.measurement_shape(), 1);
        for (sigma2, r2) in [(0.0025, 0.1), (0.1, 0.5), (1.0, 0.0)] {
            let gram = plus_diagonal(a.dot(&a.t()) * r2, sigma2);
            let got = operator.linear()?.solve_gram(&v, sigma2, r2)?;
            let error = difference(&got, &solve(&gram, &columns(&v)));
            assert!(error <= 1e-4, "{}, {sigma2}, {r2}: {error:e}", label(&*operator));
        }
    }
    Ok(())
}

/// `A^T (A A^T)^+ = A^+`. A blur with frequencies near 0 and tomography cannot show it in `f32`: there `(A A^T)^+`
/// multiplies by the inverse square of what is left of them.
#[test]
fn without_noise_solve_gram_is_a_pseudo_inverse() -> Result {
    let mild = Convolution::from_kernel([2, 9, 8], &ndarray::array![[0.1, -0.2, 0.0], [0.3, 1.0, -0.1]])?;
    for operator in [
        boxed(Inpainting::random([3, 6, 9], 0.7, 1)?),
        boxed(SuperResolution::new([3, 6, 9], 3)?),
        boxed(Colourisation::new([3, 6, 9])?),
        boxed(CompressedSensing::new([3, 6, 9], 0.4, 1)?),
        boxed(Doubled(Inpainting::random([3, 6, 9], 0.5, 1)?)),
        boxed(mild),
    ] {
        let linear = operator.linear()?;
        let b = normal(2, operator.measurement_shape(), 1);
        let through_gram = linear.adjoint(&linear.solve_gram(&b, 0.0, 0.5)?)? * 0.5;
        let error = difference(&through_gram, &columns(&linear.pseudo_inverse(&b)?));
        assert!(error <= 1e-5, "{}: {error:e}", label(&*operator));
    }
    // Whatever of `v` no image can give is left alone: it does not make the rest grow without bounds.
    let operator = Tomography::new([1, 8, 8], 20)?;
    let v = normal(1, operator.measurement_shape(), 1);
    let left = &v - operator.apply(&operator.adjoint(&operator.solve_gram(&v, 0.0, 1.0)?)?)?;
    assert!(norm(&left) <= norm(&v), "{} of {}", norm(&left), norm(&v));
    Ok(())
}

/// `(A^T A + rho I)^{-1} (A^T b + rho x)`: the other form than the one that is computed.
#[test]
fn prox_is_the_minimiser_of_its_definition() -> Result {
    for operator in small()? {
        let a = matrix(&*operator)?;
        let x = normal(2, operator.image_shape(), 1);
        let b = normal(2, operator.measurement_shape(), 2);
        for rho in [0.05, 1.0, 30.0] {
            let system = plus_diagonal(a.t().dot(&a), rho);
            let right = a.t().dot(&columns(&b)) + columns(&x) * rho;
            let error = difference(&operator.linear()?.prox(&x, &b, rho)?, &solve(&system, &right));
            assert!(error <= 1e-4, "{}, rho {rho}: {error:e}", label(&*operator));
        }
    }
    Ok(())
}

/// `A^+ b` is the limit of `(A^T A + e I)^{-1} A^T b` for small `e`, which is off by `e / s^2` in the direction of a
/// singular value `s`.
#[test]
fn the_pseudo_inverse_is_the_limit_of_regularised_least_squares() -> Result {
    for operator in [
        boxed(Inpainting::random([3, 6, 9], 0.7, 1)?),
        boxed(SuperResolution::new([3, 6, 9], 3)?),
        boxed(Colourisation::new([3, 6, 9])?),
        boxed(Fourier::new([3, 6, 9], 0.4, 1)?),
        boxed(Tomography::new([2, 9, 6], 4)?),
        boxed(Doubled(Inpainting::random([3, 6, 9], 0.5, 1)?)),
    ] {
        let a = matrix(&*operator)?;
        let b = normal(2, operator.measurement_shape(), 2);
        let system = plus_diagonal(a.t().dot(&a), 1e-9);
        let expected = solve(&system, &a.t().dot(&columns(&b)));
        let error = difference(&operator.linear()?.pseudo_inverse(&b)?, &expected);
        assert!(error <= 1e-3, "{}: {error:e}", label(&*operator));
    }
    Ok(())
}

/// Power iteration on the dense matrix, in `f64` and for long. What the operator says comes from below or is exact.
#[test]
fn the_norm_is_the_largest_singular_value() -> Result {
    for operator in small()? {
        let a = matrix(&*operator)?;
        let mut x = columns(&normal(1, operator.image_shape(), 3));
        let mut squared = 0.0;
        for _ in 0..2000 {
            let length = x.iter().map(|value| value * value).sum::<f64>().sqrt();
            x = a.t().dot(&a.dot(&(&x / length.max(f64::MIN_POSITIVE))));
            squared = x.iter().map(|value| value * value).sum::<f64>().sqrt();
        }
        let norm = operator.linear()?.norm();
        assert!(
            (norm - squared.sqrt()).abs() <= 1e-3 * norm,
            "{}: {norm}, expected {}",
            label(&*operator),
            squared.sqrt()
        );
        assert_eq!(operator_norm(&*operator)?, norm);
    }
    Ok(())
}

#[test]
fn prox_lies_between_the_image_and_the_measurement() -> Result {
    for operator in linear_operators()? {
        let x = normal(2, operator.image_shape(), 1);
        let b = operator.apply(&normal(2, operator.image_shape(), 2))?;
        let unexplained = |z: &Array4<f32>| residual(&*operator, &b, z).map(|r| r.iter().map(|r| r * r).sum::<f32>());
        let before = unexplained(&x)?;
        let strict = unexplained(&operator.linear()?.prox(&x, &b, 0.01)?)?;
        let loose = unexplained(&operator.linear()?.prox(&x, &b, 10.0)?)?;
        assert!(
            strict <= loose && loose <= before,
            "{}: {strict}, {loose}, {before}",
            label(&*operator)
        );
    }
    Ok(())
}

#[test]
fn one_image_at_a_time_solves_to_the_same_bits_as_the_batch() -> Result {
    for operator in linear_operators()? {
        let linear = operator.linear()?;
        let b = normal(3, operator.measurement_shape(), 2);
        let (whole, gram) = (linear.pseudo_inverse(&b)?, linear.solve_gram(&b, 0.1, 0.5)?);
        for index in 0..3 {
            let one = b.slice(ndarray::s![index..=index, .., .., ..]);
            let rows = ndarray::s![index..=index, .., .., ..];
            assert_eq!(linear.pseudo_inverse(&one)?, whole.slice(rows), "{}", label(&*operator));
            assert_eq!(
                linear.solve_gram(&one, 0.1, 0.5)?,
                gram.slice(rows),
                "{}",
                label(&*operator)
            );
        }
    }
    Ok(())
}

#[test]
fn weights_and_shapes_that_make_no_sense_are_refused() -> Result {
    for operator in linear_operators()? {
        let linear = operator.linear()?;
        let (x, b) = (
            normal(2, operator.image_shape(), 1),
            normal(2, operator.measurement_shape(), 2),
        );
        let message = |result: std::result::Result<Array4<f32>, OperatorError>| {
            result.map_or_else(|error| error.to_string(), |_| "no error".into())
        };
        for (message, expected) in [
            (
                message(linear.prox(&x, &b, 0.0)),
                "rho: expected above 0, and finite, got 0",
            ),
            (message(linear.prox(&x, &b, f64::NAN)), "got NaN"),
            (message(linear.solve_gram(&b, -0.1, 1.0)), "sigma2: expected 0 or more"),
            (
                message(linear.solve_gram(&b, 0.1, f64::INFINITY)),
                "r2: expected 0 or more, and finite, got inf",
            ),
            (
                message(linear.solve_gram(&b, 0.0, 0.0)),
                "sigma2 + r2: expected above 0",
            ),
            (
                message(linear.prox(&normal(3, operator.image_shape(), 1), &b, 1.0)),
                "expected [3, ",
            ),
            (
                message(linear.adjoint(&Array4::zeros((1, 1, 1, 7777)))),
                "[1, 1, 1, 7777]",
            ),
            (
                message(linear.pseudo_inverse(&Array4::zeros((1, 1, 1, 7777)))),
                "[1, 1, 1, 7777]",
            ),
        ] {
            let shown = message.replace("makes measurements of shape", "expected");
            assert!(
                shown.contains(expected),
                "{}: {message} lacks {expected}",
                label(&*operator)
            );
        }
    }
    Ok(())
}
