//! Compressed sensing: fewer numbers than pixels, each of which mixes all pixels.

use std::sync::Arc;

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustdct::{DctPlanner, TransformType2And3};

use super::check_image_shape;
use super::planes::{back_from_seen_first, kept_first, map_planes, seen_first};
use crate::entry::{Entry, Recipe};
use crate::fft::transpose;
use crate::operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, refuse};

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

/// Which way a transform goes.
#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Inverse,
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
            self.description()
        )
    }
}

impl CompressedSensing {
    /// - `image_shape`: `[C, H, W]`, any sides
    /// - `fraction`: `M / (H W)`, 0 to 1, to the nearest whole number of measurements
    ///
    /// # Errors
    ///
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

    /// All places, the kept ones first.
    fn order(&self) -> Vec<usize> {
        kept_first(&self.kept, self.signs.len())
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
    fn transform(&self, memory: &mut Memory, direction: Direction) {
        let [_, height, width] = self.image_shape;
        let along = match direction {
            Direction::Forward => forward_dct,
            Direction::Inverse => inverse_dct,
        };
        along(&*self.rows, &mut memory.plane, &mut memory.scratch);
        transpose(&memory.plane, &mut memory.turned, height, width);
        along(&*self.columns, &mut memory.turned, &mut memory.scratch);
        transpose(&memory.turned, &mut memory.plane, width, height);
    }

    /// The coefficients `C D x` at the given places, `[B, C, 1, places]`.
    fn coefficients(&self, x: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        map_planes(
            x,
            [1, places.len()],
            || self.memory(),
            |memory, from, to| {
                for ((value, &pixel), sign) in memory.plane.iter_mut().zip(from).zip(&self.signs) {
                    *value = sign * f64::from(pixel);
                }
                self.transform(memory, Direction::Forward);
                for (value, &place) in to.iter_mut().zip(places) {
                    *value = memory.plane[place] as f32;
                }
            },
        )
    }

    /// The images `D C^T` of coefficients at the given places, 0 at all others.
    fn images(&self, coefficients: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        map_planes(
            coefficients,
            [height, width],
            || self.memory(),
            |memory, from, to| {
                memory.plane.fill(0.0);
                for (&place, &value) in places.iter().zip(from) {
                    memory.plane[place] = f64::from(value);
                }
                self.transform(memory, Direction::Inverse);
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

impl ForwardOperator for CompressedSensing {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::CompressedSensing
    }

    fn description(&self) -> String {
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

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.coefficients(x, &self.kept)
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.images(v, &self.kept)
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for CompressedSensing {
    fn orthogonal_rows(&self) -> Option<f64> {
        Some(1.0)
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// `V^T = C D`, the kept coefficients first; `U = I`.
impl SpectralOperator for CompressedSensing {
    fn singular_values(&self) -> Vec<f32> {
        vec![1.0; self.measurement_shape().iter().product()]
    }

    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32> {
        seen_first(&self.coefficients(x, &self.order()), self.kept.len())
    }

    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32> {
        let coefficients = back_from_seen_first(z, self.kept.len(), self.image_shape[0]);
        self.images(&coefficients, &self.order())
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "[:FRACTION]",
    meaning: "random mixtures of all pixels (FRACTION 0.25 of their number)",
    kind: OperatorKind::CompressedSensing,
    parse: |words| {
        let fraction = words.next("FRACTION", 0.25)?;
        Ok(Recipe::new(format!("{fraction}"), move |image_shape, seed| {
            CompressedSensing::new(image_shape, fraction, seed)
        }))
    },
};
