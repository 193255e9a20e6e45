//! The Fréchet distance against closed forms, and the features that it is taken of.

use approx::assert_relative_eq;
use metrics::{FrechetError, ImageFeatures, LpipsError, Moments, frechet_distance};
use ndarray::{Array1, Array2, Array4, Axis, array, s};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Numbers from -1 to 1 without a pattern: the fractional parts of multiples of an irrational number.
fn scattered(rows: usize, columns: usize, seed: f64) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let place = ((i * columns + j) as f64 + seed) * 0.618_033_988_749_894_9;
        2.0 * (place * (1.0 + place)).fract() - 1.0
    })
}

#[test]
fn in_one_dimension_means_and_deviations_are_compared() -> Result {
    let a = Moments::new(array![0.5], array![[4.0]])?;
    let b = Moments::new(array![-1.0], array![[0.25]])?;
    assert_relative_eq!(
        frechet_distance(&a, &b)?,
        1.5_f64.powi(2) + 1.5_f64.powi(2),
        max_relative = 1e-12
    );
    assert!(frechet_distance(&a, &a)? < 1e-12);
    Ok(())
}

/// A matrix of two rows has a root with a known trace: `tr(M^(1/2)) = sqrt(tr M + 2 sqrt(det M))`.
#[test]
fn in_two_dimensions_covariances_need_not_share_their_axes() -> Result {
    let (c_1, c_2) = (array![[2.0, 0.6], [0.6, 0.5]], array![[0.3, -0.2], [-0.2, 1.7]]);
    let det = |m: &Array2<f64>| m[[0, 0]] * m[[1, 1]] - m[[0, 1]] * m[[1, 0]];
    let product: Array2<f64> = c_1.dot(&c_2);
    let root = (product.diag().sum() + 2.0 * det(&product).sqrt()).sqrt();
    let expected = 0.09 + 0.01 + c_1.diag().sum() + c_2.diag().sum() - 2.0 * root;
    let (a, b) = (
        Moments::new(array![0.3, 0.0], c_1)?,
        Moments::new(array![0.0, 0.1], c_2)?,
    );
    assert_relative_eq!(frechet_distance(&a, &b)?, expected, max_relative = 1e-12);
    assert_relative_eq!(frechet_distance(&b, &a)?, expected, max_relative = 1e-12);
    Ok(())
}

/// A symmetric matrix `A` without negative eigenvalues moves one cloud to another in the cheapest way: from `C` to
/// `A C A`, at the price of `tr((I - A) C (I - A))`. (Brenier's theorem for Gaussians.)
#[test]
fn in_192_dimensions_the_distance_is_what_the_cheapest_transport_costs() -> Result {
    let n = 192;
    let points = scattered(n, n, 1.0);
    let c = points.t().dot(&points) / n as f64;
    let half = scattered(n, n, 2.0);
    let map = half.t().dot(&half) / n as f64 + Array2::<f64>::eye(n) * 0.1;
    let rest = Array2::<f64>::eye(n) - &map;
    let expected = rest.dot(&c).dot(&rest).diag().sum();
    let zero = Array1::zeros(n);
    let a = Moments::new(zero.clone(), c.clone())?;
    let b = Moments::new(zero, map.dot(&c).dot(&map))?;
    assert_relative_eq!(frechet_distance(&a, &b)?, expected, max_relative = 1e-8);
    Ok(())
}

#[test]
fn directions_without_spread_are_no_trouble() -> Result {
    let flat = |v: f64| {
        Moments::new(
            array![0.0, 0.0, 0.0],
            array![[v, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        )
    };
    assert_relative_eq!(frechet_distance(&flat(4.0)?, &flat(1.0)?)?, 1.0, max_relative = 1e-12);
    // Along (1, 1) on one side, along (1, -1) on the other: nothing in common.
    let a = Moments::new(array![0.0, 0.0], array![[1.0, 1.0], [1.0, 1.0]])?;
    let b = Moments::new(array![0.0, 0.0], array![[1.0, -1.0], [-1.0, 1.0]])?;
    assert_relative_eq!(frechet_distance(&a, &b)?, 4.0, max_relative = 1e-12);
    let point = flat(0.0)?;
    assert_eq!(frechet_distance(&point, &point)?, 0.0);
    Ok(())
}

#[test]
fn moments_are_those_of_the_points() -> Result {
    let points = array![[1.0, 2.0], [3.0, 0.0], [2.0, 4.0]];
    let expected = Moments::new(array![2.0, 2.0], array![[1.0, -1.0], [-1.0, 4.0]])?;
    assert_eq!(Moments::of(&points)?, expected);
    Ok(())
}

#[test]
fn what_has_no_distance_is_refused() -> Result {
    assert_eq!(Moments::of(&array![[1.0, 2.0]]), Err(FrechetError::TooFew { found: 1 }));
    assert_eq!(Moments::of(&array![[1.0], [f64::NAN]]), Err(FrechetError::NotFinite));
    let (expected, found) = (1, vec![2, 2]);
    let size = FrechetError::Size { expected, found };
    assert_eq!(Moments::new(array![0.0], Array2::eye(2)), Err(size.clone()));
    let (one, two) = (Moments::of(&array![[1.0], [2.0]])?, Moments::of(&Array2::eye(2))?);
    assert_eq!(frechet_distance(&one, &two), Err(size));
    Ok(())
}

/// Pictures with stripes of many widths and colours, `[count, 3, 32, 32]`.
fn pictures(count: usize) -> Array4<f32> {
    Array4::from_shape_fn((count, 3, 32, 32), |(k, c, y, x)| {
        let phase = (k * 7 % 11) as f32 + c as f32 * (k % 5) as f32;
        0.8 * ((x as f32 * (1 + k % 4) as f32 + y as f32) * 0.15 + phase).sin()
    })
}

/// The kernels sum in another order for another number of images, so the last bits may differ.
#[test]
fn features_of_a_batch_are_those_of_its_images() -> Result {
    let features = ImageFeatures::embedded()?;
    let images = pictures(7);
    let all = features.of(&images)?;
    assert_eq!(all.dim(), (7, ImageFeatures::SIZE));
    for (k, row) in all.axis_iter(Axis(0)).enumerate() {
        let one = features.of(&images.slice(s![k..=k, .., .., ..]).to_owned())?;
        assert!(row.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-4), "image {k}");
    }
    // As a file would be: what is outside of the range is cut off.
    let too_bright = &images * 3.0;
    assert_eq!(
        features.of(&too_bright)?,
        features.of(&too_bright.mapv(|x| x.clamp(-1.0, 1.0)))?
    );
    Ok(())
}

#[test]
fn the_more_noise_the_farther() -> Result {
    let features = ImageFeatures::embedded()?;
    let images = pictures(24);
    let noise = scattered(24, 3 * 32 * 32, 5.0).mapv(|v| v as f32);
    let noise = noise.into_shape_with_order((24, 3, 32, 32))?;
    let clean = Moments::of(&features.of(&images)?)?;
    let distance = |amount: f32| -> Result<f64> {
        let noisy = &images + &noise * amount;
        Ok(frechet_distance(&clean, &Moments::of(&features.of(&noisy)?)?)?)
    };
    let (none, little, much) = (distance(0.0)?, distance(0.1)?, distance(0.5)?);
    assert!(
        none < 1e-9 && none < little && little < much,
        "{none}, {little}, {much}"
    );
    Ok(())
}

#[test]
fn images_without_features_are_refused() -> Result {
    let features = ImageFeatures::embedded()?;
    let message = |images: Array4<f32>| {
        let refused: std::result::Result<_, LpipsError> = features.of(&images);
        refused.map_or_else(|error| error.to_string(), |_| String::new())
    };
    assert!(message(Array4::zeros((1, 1, 32, 32))).contains("1 channels, expected 3"));
    assert!(message(Array4::zeros((1, 3, 8, 32))).contains("at least 16x16"));
    assert!(message(Array4::from_elem((1, 3, 32, 32), f32::NAN)).contains("NaN"));
    assert_eq!(
        features.of(&Array4::zeros((0, 3, 32, 32)))?.dim(),
        (0, ImageFeatures::SIZE)
    );
    Ok(())
}
