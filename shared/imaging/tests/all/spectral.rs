//! Operators whose singular value decomposition is known.

use imaging::{ForwardOperator, Inpainting, OperatorError, SpectralOperator, Tomography};
use ndarray::{Array2, Array4, s};

use crate::common::{Result, columns, dot, label, linear_operators, matrix, normal, unit_images};

type Case = (Box<dyn ForwardOperator>, usize, usize);

/// The spectral ones among all linear operators, with the numbers of an image and of a measurement.
fn spectral_operators() -> Result<Vec<Case>> {
    let operators = linear_operators()?
        .into_iter()
        .filter(|operator| operator.spectral().is_ok());
    Ok(operators
        .map(|operator| {
            let n = operator.image_shape().iter().product();
            let m = operator.measurement_shape().iter().product();
            (operator, n, m)
        })
        .collect())
}

fn spectral(operator: &dyn ForwardOperator) -> Result<&dyn SpectralOperator> {
    Ok(operator.spectral()?)
}

fn relative(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    let norm = |a: &Array2<f32>| a.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    norm(&(a - b)) / norm(b).max(f64::MIN_POSITIVE)
}

#[test]
fn all_linear_operators_but_tomography_are_spectral() -> Result {
    for operator in linear_operators()? {
        assert_eq!(
            operator.spectral().is_ok(),
            operator.name() != "tomography",
            "{}",
            label(&*operator)
        );
    }
    let refusal = Tomography::new([1, 4, 4], 3)?
        .spectral()
        .map_or_else(|error| error.to_string(), |_| String::new());
    assert!(
        refusal.contains("tomography") && refusal.contains("singular vectors"),
        "{refusal}"
    );
    Ok(())
}

/// `A = U S V^T`, asked of random images.
#[test]
fn the_factors_make_the_operator() -> Result {
    for (operator, n, m) in spectral_operators()? {
        let spectral = spectral(&*operator)?;
        let x = normal(3, operator.image_shape(), 1);
        let values = spectral.singular_values();
        assert_eq!(values.len(), m, "{}", label(&*operator));
        assert!(values.iter().all(|&value| value >= 0.0), "{}", label(&*operator));
        let mut z = spectral.image_to_spectrum(&x)?;
        assert_eq!(z.dim(), (3, n));
        z.columns_mut()
            .into_iter()
            .zip(&values)
            .for_each(|(mut column, &value)| column *= value);
        let y = z.slice(s![.., ..m]).to_owned();
        let b = operator.apply(&x)?;
        let error = relative(&spectral.measurement_to_spectrum(&b)?, &y);
        assert!(
            error <= 1e-5,
            "{}: U^T A differs from S V^T by {error:e}",
            label(&*operator)
        );
        let error = crate::common::relative(&spectral.spectrum_to_measurement(&y)?, &b);
        assert!(
            error <= 1e-5,
            "{}: U S V^T differs from A by {error:e}",
            label(&*operator)
        );
    }
    Ok(())
}

/// There and back, both ways, and all inner products kept: square and orthogonal.
#[test]
fn both_bases_are_orthonormal() -> Result {
    for (operator, n, m) in spectral_operators()? {
        let spectral = spectral(&*operator)?;
        let (x, other) = (
            normal(2, operator.image_shape(), 1),
            normal(2, operator.image_shape(), 2),
        );
        let z = spectral.image_to_spectrum(&x)?;
        let back = spectral.spectrum_to_image(&z)?;
        assert!(
            crate::common::relative(&back, &x) <= 1e-5,
            "{}: V V^T",
            label(&*operator)
        );
        let kept =
            |z: &Array2<f32>, w: &Array2<f32>| z.iter().zip(w).map(|(&z, &w)| f64::from(z) * f64::from(w)).sum::<f64>();
        let error = (kept(&z, &spectral.image_to_spectrum(&other)?) - dot(&x, &other)).abs();
        assert!(
            error <= 1e-5 * n as f64,
            "{}: V^T changes an inner product by {error:e}",
            label(&*operator)
        );

        let (b, other) = (
            normal(2, operator.measurement_shape(), 3),
            normal(2, operator.measurement_shape(), 4),
        );
        let y = spectral.measurement_to_spectrum(&b)?;
        assert_eq!(y.dim(), (2, m));
        let back = spectral.spectrum_to_measurement(&y)?;
        assert!(
            crate::common::relative(&back, &b) <= 1e-5,
            "{}: U U^T",
            label(&*operator)
        );
        let error = (kept(&y, &spectral.measurement_to_spectrum(&other)?) - dot(&b, &other)).abs();
        assert!(
            error <= 1e-5 * m as f64,
            "{}: U^T changes an inner product by {error:e}",
            label(&*operator)
        );
    }
    Ok(())
}

/// On matrices, entry by entry: `V^T V = I`, and what the operator does not see really is not seen.
#[test]
fn the_last_coefficients_of_an_image_are_never_seen() -> Result {
    for (operator, n, m) in spectral_operators()? {
        if n > 1000 {
            continue;
        }
        let spectral = spectral(&*operator)?;
        let v = columns(&spectral.spectrum_to_image(&Array2::eye(n))?);
        let off = (v.t().dot(&v) - Array2::<f64>::eye(n))
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(off <= 1e-5, "{}: V^T V differs from I by {off:e}", label(&*operator));
        let unseen = matrix(&*operator)?.dot(&v.slice(s![.., m..]));
        let most = unseen.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(most <= 1e-6, "{}: {most:e}", label(&*operator));
        let transposed = spectral.image_to_spectrum(&unit_images(operator.image_shape()))?;
        let off = v
            .indexed_iter()
            .map(|((row, column), &v)| (v - f64::from(transposed[[row, column]])).abs());
        assert!(
            off.fold(0.0, f64::max) <= 1e-6,
            "{}: to and from differ",
            label(&*operator)
        );
    }
    Ok(())
}

#[test]
fn the_bits_of_the_coefficients_do_not_depend_on_the_number_of_threads() -> Result {
    for (operator, ..) in spectral_operators()? {
        let spectral = spectral(&*operator)?;
        let (x, b) = (
            normal(5, operator.image_shape(), 1),
            normal(5, operator.measurement_shape(), 2),
        );
        let mut results = Vec::new();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            results.push(pool.install(|| (spectral.image_to_spectrum(&x), spectral.measurement_to_spectrum(&b))));
        }
        assert_eq!(results[0], results[1], "{}", label(&*operator));
    }
    Ok(())
}

#[test]
fn wrong_numbers_of_coefficients_are_refused() -> Result {
    let operator = Inpainting::random([3, 4, 5], 0.5, 0)?;
    let message = |result: std::result::Result<Array4<f32>, OperatorError>| {
        result.map_or_else(|error| error.to_string(), |_| "no error".into())
    };
    let short = message(operator.spectrum_to_image(&Array2::zeros((2, 59))));
    assert!(short.contains("expected [B, 60], got [2, 59]"), "{short}");
    let long = message(operator.spectrum_to_measurement(&Array2::zeros((2, 31))));
    assert!(long.contains("expected [B, 30], got [2, 31]"), "{long}");
    let mut bad = Array2::zeros((2, 60));
    bad[[1, 7]] = f32::NAN;
    let nan = message(operator.spectrum_to_image(&bad));
    assert!(nan.contains("NaN at [1, 7]"), "{nan}");
    Ok(())
}
