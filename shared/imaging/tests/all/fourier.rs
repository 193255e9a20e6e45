//! The subsampled Fourier transform.

use std::f64::consts::TAU;

use imaging::{ForwardOperator, Fourier, LinearOperator, parse_operator};
use ndarray::{Array4, Axis};

use crate::common::{Result, norm, normal, relative};

/// With all frequencies measured, each number is the sum of its definition, `sum X cas(...) / sqrt(H W)`. That also
/// holds the Fourier transforms beneath to their definition.
#[test]
fn the_transform_is_the_sum_of_its_definition_and_comes_back() -> Result {
    for (height, width) in [(1, 1), (1, 6), (5, 1), (4, 6), (7, 5), (8, 9)] {
        let operator = Fourier::new([1, height, width], 1.0, 0)?;
        let x = normal(1, [1, height, width], 1);
        let b = operator.apply(&x)?;
        assert_eq!(b.dim(), (1, 1, 1, height * width));
        for k in 0..height {
            for l in 0..width {
                let mut expected = 0.0;
                for ((_, _, y, column), &pixel) in x.indexed_iter() {
                    let angle = TAU * ((k * y) as f64 / height as f64 + (l * column) as f64 / width as f64);
                    expected += f64::from(pixel) * (angle.cos() + angle.sin());
                }
                expected /= ((height * width) as f64).sqrt();
                let got = f64::from(b[[0, 0, 0, k * width + l]]);
                // It is rounded to f32 once.
                assert!((got - expected).abs() < 1e-6, "[{k}, {l}]: {got}, expected {expected}");
            }
        }
        assert!(relative(&operator.pseudo_inverse(&b)?, &x) < 1e-6);
    }
    Ok(())
}

/// A shift of the image turns a coefficient's phase and keeps its magnitude. Were one of a pair of opposite frequencies
/// measured and the other not, the energy of what is measured would change.
#[test]
fn opposite_frequencies_are_measured_together() -> Result {
    for seed in 0..5 {
        let operator = Fourier::new([1, 9, 12], 0.4, seed)?;
        let x = normal(1, [1, 9, 12], seed);
        let energy = norm(&operator.apply(&x)?);
        let shifted = Array4::from_shape_fn(x.dim(), |(_, _, y, column)| x[[0, 0, (y + 2) % 9, (column + 5) % 12]]);
        assert!(
            (norm(&operator.apply(&shifted)?) / energy - 1.0).abs() < 1e-6,
            "seed {seed}"
        );
    }
    Ok(())
}

#[test]
fn the_lowest_frequencies_are_always_measured() -> Result {
    for seed in 0..5 {
        let operator = parse_operator("fourier", [3, 64, 64], seed)?;
        // A quarter of 1229 are the frequencies up to a radius of 9.9: all waves of at most 9 cycles in total.
        for (down, right) in [(0, 0), (0, 1), (3, 2), (9, 0), (0, 9), (6, 7)] {
            let wave = Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| {
                (TAU * (down * y + right * x) as f64 / 64.0 + c as f64).cos() as f32
            });
            let seen = operator.linear()?.pseudo_inverse(&operator.apply(&wave)?)?;
            assert!(
                relative(&seen, &wave) < 1e-5,
                "seed {seed}: {down} cycles down and {right} to the right"
            );
        }
    }
    Ok(())
}

#[test]
fn the_number_of_measurements_is_the_fraction_or_one_less() -> Result {
    for ([height, width], fraction) in [
        ([7, 9], 0.3),
        ([8, 8], 0.3),
        ([1, 2], 0.5),
        ([3, 3], 0.1),
        ([5, 5], 0.99),
    ] {
        let wanted = (fraction * (height * width) as f64).round() as usize;
        for seed in 0..10 {
            let [_, _, got] = Fourier::new([2, height, width], fraction, seed)?.measurement_shape();
            assert!(
                got == wanted || got + 1 == wanted,
                "{got} of {height}x{width}, expected {wanted}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_picture_is_the_zero_filled_image() -> Result {
    let operator = Fourier::new([3, 16, 16], 0.3, 0)?;
    let x = normal(2, [3, 16, 16], 1);
    let b = operator.apply(&x)?;
    let picture = operator.picture(&b)?;
    assert_eq!(picture, operator.start_image(&b)?);
    assert_eq!(picture, operator.adjoint(&b)?);
    assert_eq!(picture.len_of(Axis(0)), 2);
    Ok(())
}
