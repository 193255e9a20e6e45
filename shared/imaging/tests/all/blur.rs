//! The Gaussian blur against its definition.

use approx::assert_abs_diff_eq;
use imaging::{ImageError, best_gaussian_blur, gaussian_blur};
use ndarray::Array3;

/// Noise that needs no random numbers: spread over [-1, 1], with a mean of about 0.
fn noise(index: usize) -> f32 {
    (index as f32 * 12.9898).sin() * 43_758.547 % 1.0
}

#[test]
fn a_constant_stays_and_the_sum_is_kept() -> Result<(), ImageError> {
    let constant = Array3::from_elem((3, 9, 5), 0.3);
    let image = Array3::from_shape_fn((3, 9, 5), |(c, y, x)| noise(c * 45 + y * 5 + x));
    for sigma in [0.0, 0.02, 0.7, 3.0, 40.0] {
        assert_abs_diff_eq!(gaussian_blur(&constant, sigma)?, constant, epsilon = 1e-5);
        assert_abs_diff_eq!(gaussian_blur(&image, sigma)?.sum(), image.sum(), epsilon = 1e-3);
    }
    assert_eq!(gaussian_blur(&image, 0.0)?, image);
    Ok(())
}

#[test]
fn a_point_becomes_the_gaussian() -> Result<(), ImageError> {
    let mut point = Array3::zeros((1, 21, 21));
    point[[0, 10, 10]] = 1.0;
    let blurred = gaussian_blur(&point, 1.5)?;
    let peak = blurred[[0, 10, 10]];
    for (y, x) in [(10, 11), (12, 9), (7, 10), (13, 13)] {
        let square = (y as f32 - 10.0).powi(2) + (x as f32 - 10.0).powi(2);
        assert_abs_diff_eq!(blurred[[0, y, x]], peak * (-square / 4.5).exp(), epsilon = 1e-6);
    }
    Ok(())
}

#[test]
fn the_border_is_reflected() -> Result<(), ImageError> {
    // The same as the middle of the image laid out with its mirror images on all sides.
    let image = Array3::from_shape_fn((1, 6, 4), |(_, y, x)| noise(y * 4 + x));
    let mirror = |i: usize, n: usize| {
        if (i / n) % 2 == 1 { i % n } else { n - 1 - i % n }
    };
    let tiled = Array3::from_shape_fn((1, 18, 12), |(_, y, x)| image[[0, mirror(y, 6), mirror(x, 4)]]);
    let middle = gaussian_blur(&tiled, 1.0)?
        .slice(ndarray::s![.., 6..12, 4..8])
        .to_owned();
    assert_abs_diff_eq!(gaussian_blur(&image, 1.0)?, middle, epsilon = 1e-6);
    Ok(())
}

#[test]
fn the_best_blur_is_no_worse_than_any_other() -> Result<(), ImageError> {
    let truth = Array3::from_shape_fn((3, 32, 32), |(c, y, x)| {
        ((x as f32 / 9.0).sin() + (y as f32 / (7.0 + c as f32)).cos()) / 2.5
    });
    let error = |a: &Array3<f32>| (a.mapv(|x| x.clamp(-1.0, 1.0)) - &truth).mapv(|d| d * d).sum();
    for strength in [0.05, 0.3, 1.0] {
        let noisy = Array3::from_shape_fn((3, 32, 32), |(c, y, x)| {
            truth[[c, y, x]] + strength * noise(c * 1024 + y * 32 + x)
        });
        let (sigma, best) = best_gaussian_blur(&noisy, &truth)?;
        assert_eq!(gaussian_blur(&noisy, sigma)?, best);
        for step in 0..60 {
            let other = gaussian_blur(&noisy, step as f32 * 0.1)?;
            assert!(
                error(&best) <= error(&other) * 1.002,
                "strength {strength}: sigma {} beats {sigma}",
                step as f32 * 0.1
            );
        }
    }
    assert_eq!(
        best_gaussian_blur(&truth, &truth)?.0,
        0.0,
        "a clean image is best left alone"
    );
    Ok(())
}

#[test]
fn a_sigma_that_is_no_width_is_refused() {
    let image = Array3::zeros((1, 4, 4));
    for sigma in [-0.1, f32::NAN, f32::INFINITY, 1001.0] {
        let message = gaussian_blur(&image, sigma).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            message.contains("sigma") && message.contains("0 to 1000"),
            "{sigma}: {message}"
        );
    }
    assert!(best_gaussian_blur(&image, &Array3::zeros((1, 4, 5))).is_err());
}
