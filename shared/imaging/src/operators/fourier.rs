//! Magnetic resonance: some of an image's frequencies.

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::check_image_shape;
use super::planes::{back_from_seen_first, kept_first, map_planes, seen_first};
use crate::entry::{Entry, Recipe};
use crate::hartley::Hartley;
use crate::operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, refuse};

const NAME: &str = "fourier";
/// The part of the measured frequencies that are the lowest ones.
const LOWEST: f64 = 0.25;

/// Some Fourier coefficients of each channel, `A = S H`, the same ones for all channels: what a magnetic resonance
/// scanner measures in a shortened scan.
///
/// A real image's coefficients at opposite frequencies are conjugate, so both are measured or neither. The two real
/// numbers that such a pair holds are written in the Hartley basis `H`: with the orthonormal Fourier coefficient `y` of
/// a frequency they are `Re y - Im y` there and `Re y + Im y` at its opposite. `H` is orthogonal and symmetric and `S`
/// a selection, so `A A^T = I` and `A^+ = A^T = H S^T`, which is the "zero-filled" image. Real white noise on these
/// numbers is complex white noise on the coefficients.
///
/// A quarter of the measured frequencies are the lowest ones; the others are drawn uniformly from the rest. (Random
/// sampling beside a full centre: Lustig, Donoho and Pauly, "Sparse MRI", 2007; there denser towards the centre.)
///
/// A measurement is `[C, 1, M]`, in reading order of the plane of frequencies, frequency 0 first.
#[derive(Debug)]
pub struct Fourier {
    image_shape: [usize; 3],
    seed: u64,
    hartley: Hartley,
    /// The places of the measured frequencies, sorted.
    kept: Vec<usize>,
}

impl Fourier {
    /// - `image_shape`: `[C, H, W]`, any sides
    /// - `fraction`: `M / (H W)`, 0 to 1; `M` is the nearest number or, where pairs do not allow it, one less
    ///
    /// # Errors
    ///
    /// A fraction that is none, or an image without pixels.
    pub fn new(image_shape: [usize; 3], fraction: f64, seed: u64) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(refuse(NAME, "the fraction of measured frequencies", "0 to 1", fraction));
        }
        let [_, height, width] = image_shape;
        let count = (fraction * (height * width) as f64).round() as usize;
        Ok(Self {
            image_shape,
            seed,
            hartley: Hartley::new(height, width),
            kept: choose([height, width], count, &mut StdRng::seed_from_u64(seed)),
        })
    }

    /// The coefficients `H x` at the given places, `[B, C, 1, places]`.
    fn coefficients(&self, x: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let memory = || (vec![0.0; height * width], self.hartley.memory());
        map_planes(x, [1, places.len()], memory, |(plane, memory), from, to| {
            self.hartley.transform(from, plane, memory);
            to.iter_mut()
                .zip(places)
                .for_each(|(value, &place)| *value = plane[place]);
        })
    }

    /// The images `H z` of coefficients at the given places, 0 at all others.
    fn images(&self, coefficients: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let memory = || (vec![0.0; height * width], self.hartley.memory());
        map_planes(coefficients, [height, width], memory, |(plane, memory), from, to| {
            plane.fill(0.0);
            places
                .iter()
                .zip(from)
                .for_each(|(&place, &value)| plane[place] = value);
            self.hartley.transform(plane, to, memory);
        })
    }

    /// All places, the measured ones first.
    fn order(&self) -> Vec<usize> {
        kept_first(&self.kept, self.image_shape[1] * self.image_shape[2])
    }
}

/// At most `count` places of a plane of frequencies, sorted, with each place its opposite: the lowest, then others at
/// random.
fn choose(sides: [usize; 2], count: usize, rng: &mut StdRng) -> Vec<usize> {
    let mut pairs = pairs_by_frequency(sides);
    let lowest = (LOWEST * count as f64).round() as usize;
    let mut low = 0;
    let within = pairs.iter().take_while(|pair| {
        low += pair.len();
        low <= lowest
    });
    let within = within.count();
    pairs[within..].shuffle(rng);
    let mut kept = Vec::with_capacity(count);
    for pair in pairs {
        if kept.len() + pair.len() <= count {
            kept.extend(pair);
        }
    }
    kept.sort_unstable();
    kept
}

/// The places of opposite frequencies together, one place where a frequency is its own opposite; the lowest first.
fn pairs_by_frequency([height, width]: [usize; 2]) -> Vec<Vec<usize>> {
    let cycles = |place: usize, side: usize| place.min(side - place) as f64 / side as f64;
    let mut pairs: Vec<(f64, Vec<usize>)> = Vec::new();
    for place in 0..height * width {
        let (k, l) = (place / width, place % width);
        let opposite = (height - k) % height * width + (width - l) % width;
        if place <= opposite {
            let both = if place == opposite {
                vec![place]
            } else {
                vec![place, opposite]
            };
            pairs.push((cycles(k, height).hypot(cycles(l, width)), both));
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

impl ForwardOperator for Fourier {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Fourier
    }

    fn description(&self) -> String {
        let [_, height, width] = self.image_shape;
        let (kept, all, seed) = (self.kept.len(), height * width, self.seed);
        format!(
            "{kept} of {all} frequencies per channel, a quarter of them the lowest, the others at random, seed {seed}"
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

impl LinearOperator for Fourier {
    fn orthogonal_rows(&self) -> Option<f64> {
        Some(1.0)
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// `V = H`, the measured frequencies first; `U = I`.
impl SpectralOperator for Fourier {
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
    meaning: "some frequencies, as in magnetic resonance (FRACTION 0.3 of them)",
    kind: OperatorKind::Fourier,
    parse: |words| {
        let fraction = words.next("FRACTION", 0.3)?;
        Ok(Recipe::new(format!("{fraction}"), move |image_shape, seed| {
            Fourier::new(image_shape, fraction, seed)
        }))
    },
};
