//! Phase retrieval: the magnitude of an image's Fourier transform, without its phase. Nonlinear.

use ndarray::{Array4, ArrayRef4, s};
use rustfft::num_complex::Complex64;

use super::check_image_shape;
use super::planes::map_planes;
use crate::entry::{Entry, Recipe};
use crate::fft::{Fft2, FftScratch};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};

const NAME: &str = "phase-retrieval";

/// The magnitude of the oversampled Fourier transform, `A(x) = |F P u|` with `u = (x + 1) / 2` in [0, 1], for each
/// channel.
///
/// `P` puts the image `[H, W]` into the corner of a plane of zeros, `[2 H, 2 W]`: twice oversampled in each direction,
/// so that there are more equations than unknowns. `F` is the orthonormal Fourier transform, so a measurement `[C, 2 H,
/// 2 W]` has the norm of `u`; frequency 0 stands at `[0, 0]`. Chung et al., ICLR 2023, use the same operator (there
/// with [-1, 1] images as they are).
///
/// With `z = F P u`, the VJP is `J^T v = Re P^T F^H (v z / |z|) / 2`; where `z = 0` the magnitude has a kink and 0 is
/// taken for `z / |z|`. The image turned by 180 degrees has the same magnitudes: no method can tell the two apart.
#[derive(Debug)]
pub struct PhaseRetrieval {
    image_shape: [usize; 3],
    fft: Fft2,
}

impl PhaseRetrieval {
    /// For images `[C, H, W]`.
    ///
    /// # Errors
    ///
    /// An image without pixels.
    pub fn new(image_shape: [usize; 3]) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        let [_, height, width] = image_shape;
        Ok(Self {
            image_shape,
            fft: Fft2::new(2 * height, 2 * width),
        })
    }

    /// The orthonormal transform's factor.
    fn scale(&self) -> f64 {
        1.0 / (4.0 * (self.image_shape[1] * self.image_shape[2]) as f64).sqrt()
    }

    fn forward(&self, image: &[f32], spectrum: &mut [Complex64], scratch: &mut FftScratch) {
        let [_, height, width] = self.image_shape;
        let unit = |y: usize, x: usize| {
            if x < width {
                (f64::from(image[y * width + x]) + 1.0) / 2.0
            } else {
                0.0
            }
        };
        self.fft.forward(height, unit, spectrum, scratch);
    }
}

/// `|z|` without `norm`'s precautions against overflow, which `f32` pixels cannot cause and which take most of its
/// time.
fn magnitude(z: Complex64) -> f64 {
    z.norm_sqr().sqrt()
}

impl ForwardOperator for PhaseRetrieval {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::PhaseRetrieval
    }

    fn description(&self) -> String {
        "Fourier magnitude, 2x oversampled".into()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.image_shape;
        [channels, 2 * height, 2 * width]
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.measurement_shape();
        let scale = self.scale();
        let memory = || (self.fft.spectrum(), self.fft.scratch());
        map_planes(x, [height, width], memory, |(spectrum, scratch), from, to| {
            self.forward(from, spectrum, scratch);
            self.fft.frequencies(|place, opposite, half| {
                let size = (scale * magnitude(spectrum[half])) as f32;
                to[place] = size;
                to[opposite] = size;
            });
        })
    }

    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        // Two inputs for each plane: they go side by side, the image's rows and then the vector's.
        let [channels, height, width] = self.image_shape;
        let pixels = height * width;
        let mut both = Array4::zeros((x.shape()[0], channels, 1, 5 * pixels));
        let flat = |a: &ArrayRef4<f32>| {
            let shape = (a.shape()[0], channels, 1, a.shape()[2] * a.shape()[3]);
            a.to_shape(shape).map(|a| a.into_owned())
        };
        if let (Ok(x), Ok(v)) = (flat(x), flat(v)) {
            both.slice_mut(s![.., .., .., ..pixels]).assign(&x);
            both.slice_mut(s![.., .., .., pixels..]).assign(&v);
        }
        let memory = || (self.fft.spectrum(), self.fft.scratch());
        map_planes(&both, [height, width], memory, |(spectrum, scratch), from, to| {
            let (image, vector) = from.split_at(pixels);
            self.forward(image, spectrum, scratch);
            // Only the real part of what comes back is asked for, so only the symmetric part of the vector counts.
            self.fft.frequencies(|place, opposite, half| {
                let size = magnitude(spectrum[half]);
                let weight = (f64::from(vector[place]) + f64::from(vector[opposite])) / 2.0;
                spectrum[half] = if size > 0.0 {
                    spectrum[half] * (weight / size)
                } else {
                    Complex64::ZERO
                };
            });
            // `backward` divides by the number of frequencies, F^H by its square root; 1/2 is the slope of u.
            let factor = 0.5 / self.scale();
            let write = |y: usize, row: &[f64]| {
                for (pixel, &value) in to[y * width..][..width].iter_mut().zip(row) {
                    *pixel = (factor * value) as f32;
                }
            };
            self.fft.backward(spectrum, height, write, scratch);
        })
    }

    /// An even plane of the right mean: the magnitude at frequency 0 is the sum of the image, which no phase hides.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let [channels, height, width] = self.image_shape;
        let to_mean = 1.0 / (self.scale() * (height * width) as f64);
        let shape = (b.shape()[0], channels, height, width);
        Array4::from_shape_fn(shape, |(image, channel, _, _)| {
            let mean = f64::from(b[[image, channel, 0, 0]]) * to_mean;
            (2.0 * mean - 1.0).clamp(-1.0, 1.0) as f32
        })
    }

    /// The magnitudes on a logarithmic scale over four decades, frequency 0 in the middle, the greatest of each image
    /// white.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let (_, _, height, width) = b.dim();
        let greatest: Vec<f32> = b
            .outer_iter()
            .map(|image| image.iter().fold(0.0, |greatest: f32, value| greatest.max(value.abs())))
            .collect();
        Array4::from_shape_fn(b.dim(), |(image, channel, y, x)| {
            let value = b[[image, channel, (y + height / 2) % height, (x + width / 2) % width]];
            let relative = value.abs().max(f32::MIN_POSITIVE) / greatest[image].max(f32::MIN_POSITIVE);
            (1.0 + relative.log10() / 2.0).max(-1.0)
        })
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "",
    meaning: "the magnitude of the Fourier transform; nonlinear",
    kind: OperatorKind::PhaseRetrieval,
    parse: |_words| Ok(Recipe::new("", |image_shape, _seed| PhaseRetrieval::new(image_shape))),
};
