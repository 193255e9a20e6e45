//! Compressed sensing: fewer numbers than pixels, each of which mixes all pixels.

use std::sync::Arc;

use ndarray::{Array4, ArrayRef4};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustdct::{DctPlanner, TransformType2And3};

use super::{check_image_shape, check_images, check_measurement, check_pullback, map_planes, refuse};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};

const NAME: &str = "compressed-sensing";

/// Random rows of a random orthogonal transform, `A = S C D`, the same for each channel.
///
/// `D` flips the sign of pixels at random, which spreads every image over all frequencies; `C` is the orthonormal
/// two-dimensional cosine transform (DCT-II), and `S` keeps `M` of its `H W` coefficients, chosen at random. All are
/// orthogonal or selections, so `A A^T = I` and `A^+ = A^T = D C^T S^T`. (Such a transform is the structured random
/// matrix of Do et al., "Fast and efficient compressive sensing using structurally random matrices", 2012.)
///
/// A measurement is `[C, 1, M]`.
pub struct CompressedSensing {
    image_shape: [usize; 3],
    seed: u64,
    /// +1 or -1 for each pixel.
    signs: Vec<f64>,
    /// The places of the coefficients that are kept, sorted.
    kept: Vec<usize>,
    rows: Arc<dyn TransformType2And3<f64>>,
    columns: Arc<dyn TransformType2And3<f64>>,
}

/// The memory of one thread: a plane, its transpose, and what the transforms ask for.
struct Memory {
    plane: Vec<f64>,
    turned: Vec<f64>,
    scratch: Vec<f64>,
}

impl std::fmt::Debug for CompressedSensing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "CompressedSensing({:?}, {})",
            self.image_shape,
            self.parameters()
        )
    }
}

impl CompressedSensing {
    /// - `image_shape`: `[C, H, W]`, any sides
    /// - `fraction`: `M / (H W)`, 0 to 1, to the nearest whole number of measurements
    ///
    /// # Errors
    /// A fraction that is none, or an image without pixels.
    pub fn new(image_shape: [usize; 3], fraction: f64, seed: u64) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(refuse(NAME, "the fraction of measurements", "0 to 1", fraction));
        }
        let [_, height, width] = image_shape;
        let pixels = height * width;
        let rng = &mut StdRng::seed_from_u64(seed);
        let signs = (0..pixels).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
        let count = (fraction * pixels as f64).round() as usize;
        let mut kept = rand::seq::index::sample(rng, pixels, count).into_vec();
        kept.sort_unstable();
        let mut planner = DctPlanner::new();
        Ok(Self {
            image_shape,
            seed,
            signs,
            kept,
            rows: planner.plan_dct2(width),
            columns: planner.plan_dct2(height),
        })
    }

    fn memory(&self) -> Memory {
        let pixels = self.signs.len();
        Memory {
            plane: vec![0.0; pixels],
            turned: vec![0.0; pixels],
            scratch: vec![0.0; self.rows.get_scratch_len().max(self.columns.get_scratch_len())],
        }
    }

    /// The orthonormal DCT-II of `memory.plane` along both axes, or its inverse.
    fn transform(&self, memory: &mut Memory, inverse: bool) {
        let [_, height, width] = self.image_shape;
        let along = if inverse { inverse_dct } else { forward_dct };
        along(&*self.rows, &mut memory.plane, &mut memory.scratch);
        transpose(&memory.plane, &mut memory.turned, height, width);
        along(&*self.columns, &mut memory.turned, &mut memory.scratch);
        transpose(&memory.turned, &mut memory.plane, width, height);
    }

    fn adjoint(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        map_planes(
            b,
            [height, width],
            || self.memory(),
            |memory, from, to| {
                memory.plane.fill(0.0);
                for (&place, &value) in self.kept.iter().zip(from) {
                    memory.plane[place] = f64::from(value);
                }
                self.transform(memory, true);
                for ((pixel, value), sign) in to.iter_mut().zip(&memory.plane).zip(&self.signs) {
                    *pixel = (sign * value) as f32;
                }
            },
        )
    }
}

/// `y_k = c_k sum_n x_n cos(pi k (2 n + 1) / (2 N))` for each line, with `c_0 = sqrt(1 / N)` and `c_k = sqrt(2 / N)`.
fn forward_dct(dct: &dyn TransformType2And3<f64>, lines: &mut [f64], scratch: &mut [f64]) {
    let n = dct.len() as f64;
    for line in lines.chunks_exact_mut(dct.len()) {
        dct.process_dct2_with_scratch(line, scratch);
        line.iter_mut().for_each(|value| *value *= (2.0 / n).sqrt());
        line[0] *= 0.5_f64.sqrt();
    }
}

/// The inverse and transpose of [`forward_dct`]. The library's DCT-III counts the first coefficient by half.
fn inverse_dct(dct: &dyn TransformType2And3<f64>, lines: &mut [f64], scratch: &mut [f64]) {
    let n = dct.len() as f64;
    for line in lines.chunks_exact_mut(dct.len()) {
        line[0] *= 2.0_f64.sqrt();
        dct.process_dct3_with_scratch(line, scratch);
        line.iter_mut().for_each(|value| *value *= (2.0 / n).sqrt());
    }
}

/// `[height][width]` to `[width][height]`.
fn transpose(from: &[f64], to: &mut [f64], height: usize, width: usize) {
    for (x, column) in to.chunks_exact_mut(height).enumerate() {
        for (y, value) in column.iter_mut().enumerate() {
            *value = from[y * width + x];
        }
    }
}

impl ForwardOperator for CompressedSensing {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::CompressedSensing
    }

    fn parameters(&self) -> String {
        format!(
            "{} of {} random coefficients per channel, seed {}",
            self.kept.len(),
            self.signs.len(),
            self.seed
        )
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        [self.image_shape[0], 1, self.kept.len()]
    }

    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        Ok(map_planes(
            x,
            [1, self.kept.len()],
            || self.memory(),
            |memory, from, to| {
                for ((value, &pixel), sign) in memory.plane.iter_mut().zip(from).zip(&self.signs) {
                    *value = sign * f64::from(pixel);
                }
                self.transform(memory, false);
                for (value, &place) in to.iter_mut().zip(&self.kept) {
                    *value = memory.plane[place] as f32;
                }
            },
        ))
    }

    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_pullback(self, x, v)?;
        Ok(self.adjoint(v))
    }

    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.adjoint(b))
    }
}
