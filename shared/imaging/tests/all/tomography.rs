//! The Radon transform.

use imaging::{ForwardOperator, LinearOperator, Noise, Tomography, measure, residual};
use ndarray::{Array4, Axis, s};

use crate::common::{Result, norm, normal, relative};

/// A disc, brighter than what is around it, with a soft border.
fn disc(side: usize, radius: f64) -> Array4<f32> {
    let middle = (side - 1) as f64 / 2.0;
    Array4::from_shape_fn((1, 1, side, side), |(_, _, y, x)| {
        let distance = (y as f64 - middle).hypot(x as f64 - middle);
        (radius - distance + 0.5).clamp(0.0, 1.0) as f32
    })
}

/// The shadow of a disc of radius `r` is `2 sqrt(r^2 - s^2)`, from every side. What the pixels' grid leaves of it is
/// within a pixel's width at `s` off the border.
#[test]
fn a_disc_has_the_same_shadow_from_all_sides() -> Result {
    let (side, radius) = (65, 20.0);
    let operator = Tomography::new([1, side, side], 36)?;
    let b = operator.apply(&disc(side, radius))?;
    let [_, _, detectors] = operator.measurement_shape();
    // The scale is one number; the shadow of the whole tells it.
    let area = std::f64::consts::PI * radius * radius;
    let scale = f64::from(b.slice(s![0, 0, 0, ..]).sum()) / area;
    for (angle, shadow) in b.slice(s![0, 0, .., ..]).outer_iter().enumerate() {
        for (detector, &value) in shadow.iter().enumerate() {
            let s = detector as f64 - (detectors - 1) as f64 / 2.0;
            let expected = 2.0 * (radius * radius - s * s).max(0.0).sqrt();
            let got = f64::from(value) / scale;
            if (s.abs() - radius).abs() > 2.0 {
                assert!(
                    (got - expected).abs() < 1.0,
                    "angle {angle}, s = {s}: {got}, expected {expected}"
                );
            }
        }
    }
    Ok(())
}

/// Off the middle it must move to the right side: at 0 degrees the detectors stand along x, at 90 along y.
#[test]
fn a_point_casts_its_shadow_where_it_stands() -> Result {
    let operator = Tomography::new([1, 9, 13], 4)?;
    let mut x = Array4::zeros((1, 1, 9, 13));
    x[[0, 0, 1, 10]] = 1.0;
    let b = operator.apply(&x)?;
    let [_, _, detectors] = operator.measurement_shape();
    for (angle, shadow) in b.slice(s![0, 0, .., ..]).outer_iter().enumerate() {
        let theta = std::f64::consts::PI * angle as f64 / 4.0;
        let expected = 4.0 * theta.cos() - 3.0 * theta.sin() + (detectors - 1) as f64 / 2.0;
        let weights: f64 = shadow.iter().map(|&value| f64::from(value)).sum();
        let sums = shadow
            .iter()
            .enumerate()
            .map(|(place, &value)| place as f64 * f64::from(value));
        let centre = sums.sum::<f64>() / weights;
        // Two or three detectors share it; their weights are those of the ray's distance within half a pixel.
        assert!(
            (centre - expected).abs() < 0.5,
            "angle {angle}: {centre}, expected {expected}"
        );
    }
    Ok(())
}

#[test]
fn its_norm_is_1() -> Result {
    for (shape, angles) in [([1, 16, 16], 20), ([1, 15, 9], 7), ([3, 8, 8], 1)] {
        let operator = Tomography::new(shape, angles)?;
        let mut x = normal(1, shape, 1);
        let mut stretch = 0.0;
        for _ in 0..200 {
            x = &x / norm(&x) as f32;
            x = operator.adjoint(&operator.apply(&x)?)?;
            stretch = norm(&x).sqrt();
        }
        assert!((stretch - 1.0).abs() < 1e-3, "{shape:?}, {angles} angles: {stretch}");
        assert_eq!(operator.norm(), 1.0);
    }
    Ok(())
}

/// Of what an image gives, `k` rounds of conjugate gradients leave at most `||A|| ||x|| / (2 k + 1)` unexplained,
/// whatever the singular values are (no polynomial does better than Chebyshev's). And as they begin at 0 and never
/// leave the range of `A^T`, the result is no longer than the image.
#[test]
fn the_pseudo_inverse_explains_what_its_rounds_allow() -> Result {
    for (shape, angles) in [([3, 15, 21], 17), ([1, 24, 24], 80), ([1, 32, 32], 30), ([2, 8, 8], 1)] {
        let operator = Tomography::new(shape, angles)?;
        let x = normal(1, shape, 1);
        let b = operator.apply(&x)?;
        let found = operator.pseudo_inverse(&b)?;
        let left = norm(&residual(&operator, &b, &found)?) / norm(&x);
        assert!(left <= 1.0 / 201.0, "{shape:?}, {angles} angles: {left}");
        assert!(norm(&found) <= norm(&x), "{shape:?}, {angles} angles");
    }
    Ok(())
}

/// With more views than it takes, the pseudo-inverse of a clean sinogram is the image, and with few and noisy ones the
/// start image still keeps the range and is nearer to the image than nothing.
#[test]
fn a_clean_scan_is_inverted_and_the_start_image_of_a_noisy_one_keeps_the_range() -> Result {
    let x = disc(24, 7.0) * 1.6 - 0.8;
    let complete = Tomography::new([1, 24, 24], 80)?;
    let inverted = complete.pseudo_inverse(&complete.apply(&x)?)?;
    assert!(relative(&inverted, &x) < 1e-2, "{}", relative(&inverted, &x));
    let short = Tomography::new([1, 24, 24], 12)?;
    let b = measure(&short, &x, Noise::Gaussian { sigma: 0.05 }, 0, 0)?;
    let start = short.start_image(&b)?;
    assert!(
        start.iter().all(|value| value.abs() < 1.6),
        "the start image keeps the range"
    );
    assert!(relative(&start, &x) < 0.35, "{}", relative(&start, &x));
    Ok(())
}

#[test]
fn the_picture_is_the_sinogram_from_black_to_white() -> Result {
    let operator = Tomography::new([3, 8, 12], 10)?;
    let mut x = normal(2, [3, 8, 12], 1);
    x.index_axis_mut(Axis(0), 1).fill(0.0);
    let picture = operator.picture(&operator.apply(&x)?)?;
    assert_eq!(picture.dim(), (2, 3, 10, 15));
    let first = picture.index_axis(Axis(0), 0);
    assert_eq!(first.iter().copied().fold(f32::INFINITY, f32::min), -1.0);
    assert_eq!(first.iter().copied().fold(f32::NEG_INFINITY, f32::max), 1.0);
    assert!(
        picture.index_axis(Axis(0), 1).iter().all(|&value| value == -1.0),
        "an even sinogram is no division by 0"
    );
    Ok(())
}
