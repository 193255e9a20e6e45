//! How far two samples are apart.

use ndarray::{Array1, Array2, ArrayRef2};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::Rng;

/// The sliced Wasserstein distance of order 2 (Rabin et al. 2012, "Wasserstein Barycenter and its Application to
/// Texture Mixing") of two samples of equal size: both are projected on random directions, where the best way to move
/// one onto the other is to sort them; the root of the mean square over directions and points.
///
/// - `a`, `b`: a point in each row, `[N, d]`
/// - `directions`: how many
///
/// # Panics
///
/// If the samples are of different sizes.
pub fn sliced_wasserstein(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>, directions: usize, rng: &mut impl Rng) -> f64 {
    assert_eq!(a.dim(), b.dim(), "both samples have as many points of as many numbers");
    let directions = Array2::<f64>::random_using((directions, a.ncols()), StandardNormal, rng);
    let squares = directions.rows().into_iter().map(|direction| {
        let direction = &direction / direction.dot(&direction).sqrt();
        let (a, b) = (sorted(a.dot(&direction)), sorted(b.dot(&direction)));
        a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64
    });
    (squares.sum::<f64>() / directions.nrows() as f64).sqrt()
}

fn sorted(values: Array1<f64>) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}
