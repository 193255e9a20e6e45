//! Mixtures of all pixels, by which everything that a sampler makes of images can be told apart.

use ndarray::{Array2, Array4, ArrayRef4};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A matrix without structure, whose rows are of length 1 or nearly so.
pub(crate) fn mixing(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    Array2::random_using((rows, columns), StandardNormal, &mut StdRng::seed_from_u64(seed)) / (columns as f32).sqrt()
}

/// `matrix x` of each image, flattened.
pub(crate) fn mixed(matrix: &Array2<f32>, x: &ArrayRef4<f32>, shape: [usize; 3]) -> Array4<f32> {
    let flat = x.to_shape((x.dim().0, matrix.ncols())).expect("an image for each row");
    let [c, h, w] = shape;
    let out = flat.dot(&matrix.t());
    // Of one image the product may come in either order of axes.
    let out = out.as_standard_layout().into_owned();
    out.into_shape_with_order((x.dim().0, c, h, w))
        .expect("as many numbers as asked for")
}
