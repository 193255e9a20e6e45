//! The operators that most tests go through, and a little linear algebra.

use imaging::{
    Colourisation, CompressedSensing, Convolution, ForwardOperator, Fourier, HdrResponse, Inpainting, PhaseRetrieval,
    SuperResolution, Tomography,
};
use ndarray::{Array1, Array2, Array4, ArrayRef4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub fn normal(batch: usize, [c, h, w]: [usize; 3], seed: u64) -> Array4<f32> {
    Array4::random_using((batch, c, h, w), StandardNormal, &mut StdRng::seed_from_u64(seed))
}

pub fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

pub fn norm(a: &Array4<f32>) -> f64 {
    dot(a, a).sqrt()
}

/// `||a - b|| / ||b||`.
pub fn relative(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    norm(&(a - b)) / norm(b).max(f64::MIN_POSITIVE)
}

pub fn boxed(operator: impl ForwardOperator + 'static) -> Box<dyn ForwardOperator> {
    Box::new(operator)
}

/// A kernel without any symmetry, with negative weights and sum other than 1.
pub fn crooked(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(y, x)| {
        ((y * 7 + x * 3 + 1) % 11) as f64 / 20.0 - 0.15
    })
}

/// Odd and even sides, one and several channels, kernels up to the size of the image, empty and single measurements.
pub fn linear_operators() -> Result<Vec<Box<dyn ForwardOperator>>> {
    let odd = [3, 15, 21];
    let one_kept = Array2::from_shape_fn((15, 21), |place| place == (14, 0));
    Ok(vec![
        boxed(Inpainting::random(odd, 0.7, 1)?),
        boxed(Inpainting::random([1, 1, 1], 0.0, 1)?),
        boxed(Inpainting::random(odd, 1.0, 1)?),
        boxed(Inpainting::centred_box(odd, 8)?),
        boxed(Inpainting::from_mask(odd, &one_kept)?),
        boxed(Convolution::gaussian(odd, 13, 1.5)?),
        boxed(Convolution::gaussian([3, 64, 64], 13, 1.5)?),
        boxed(Convolution::motion_blur(odd, 15, 0.5, 3)?),
        boxed(Convolution::from_kernel(odd, &crooked(4, 9))?),
        boxed(Convolution::from_kernel([2, 16, 10], &crooked(16, 10))?),
        boxed(Convolution::from_kernel([2, 7, 1], &crooked(3, 1))?),
        boxed(Convolution::from_kernel([1, 1, 1], &crooked(1, 1))?),
        boxed(SuperResolution::new(odd, 3)?),
        boxed(SuperResolution::new([3, 64, 64], 4)?),
        boxed(Colourisation::new(odd)?),
        boxed(CompressedSensing::new(odd, 0.25, 2)?),
        boxed(CompressedSensing::new([2, 16, 9], 1.0, 2)?),
        boxed(CompressedSensing::new([3, 5, 7], 0.0, 2)?),
        boxed(Fourier::new(odd, 0.3, 2)?),
        boxed(Fourier::new([2, 16, 9], 1.0, 2)?),
        boxed(Fourier::new([1, 6, 8], 0.5, 3)?),
        boxed(Fourier::new([3, 5, 7], 0.0, 2)?),
        boxed(Tomography::new(odd, 17)?),
        boxed(Tomography::new([2, 16, 9], 60)?),
        boxed(Tomography::new([1, 8, 8], 1)?),
        boxed(Tomography::new([1, 1, 1], 3)?),
    ])
}

pub fn nonlinear_operators() -> Result<Vec<Box<dyn ForwardOperator>>> {
    Ok(vec![
        boxed(PhaseRetrieval::new([2, 7, 5])?),
        boxed(PhaseRetrieval::new([1, 6, 8])?),
        boxed(PhaseRetrieval::new([1, 1, 1])?),
        boxed(HdrResponse::new([3, 7, 5], 2.0, 2.2)?),
        boxed(HdrResponse::new([3, 7, 5], 0.5, 1.0)?),
    ])
}

pub fn label(operator: &dyn ForwardOperator) -> String {
    format!(
        "{} ({}) on {:?}",
        operator.name(),
        operator.description(),
        operator.image_shape()
    )
}

/// A batch as the columns of a matrix.
pub fn columns(batch: &ArrayRef4<f32>) -> Array2<f64> {
    let numbers = batch.len() / batch.shape()[0].max(1);
    let mut matrix = Array2::zeros((numbers, batch.shape()[0]));
    for (mut column, one) in matrix.columns_mut().into_iter().zip(batch.outer_iter()) {
        column.assign(&Array1::from_iter(one.iter().map(|&value| f64::from(value))));
    }
    matrix
}

/// All unit images, one after the other.
pub fn unit_images([c, h, w]: [usize; 3]) -> Array4<f32> {
    Array4::from_shape_fn((c * h * w, c, h, w), |(place, channel, y, x)| {
        if place == (channel * h + y) * w + x { 1.0 } else { 0.0 }
    })
}

/// The matrix of an operator, column by column.
pub fn matrix(operator: &dyn ForwardOperator) -> Result<Array2<f64>> {
    Ok(columns(&operator.apply(&unit_images(operator.image_shape()))?))
}

/// `a^{-1} b` for a positive definite matrix, by Cholesky's decomposition.
pub fn solve(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let rest: f64 = a[[i, j]] - (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum::<f64>();
            l[[i, j]] = if i == j { rest.sqrt() } else { rest / l[[j, j]] };
        }
    }
    let mut x = b.clone();
    for mut column in x.columns_mut() {
        for i in 0..n {
            let known: f64 = (0..i).map(|k| l[[i, k]] * column[k]).sum();
            column[i] = (column[i] - known) / l[[i, i]];
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|k| l[[k, i]] * column[k]).sum();
            column[i] = (column[i] - known) / l[[i, i]];
        }
    }
    x
}
