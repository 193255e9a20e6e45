//! Blur: circular convolution with any kernel, in Fourier space.

use std::path::Path;

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};
use rustfft::num_complex::Complex64;

use super::kernels::kernel_from_file;
use super::planes::map_planes;
use super::{camera_shake_kernel, check_image_shape, from_file, gaussian_kernel};
use crate::entry::{Entry, Recipe};
use crate::fft::{Fft2, FftScratch};
use crate::hartley::Hartley;
use crate::operator::{
    ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, flatten, refuse, unflatten,
};

/// A kernel's response to a frequency counts as zero below this part of its greatest one.
///
/// A measurement in `f32` carries rounding errors of up to 6e-8 of its size at every frequency. Where the blur leaves
/// less than 2e-6 of the image, a good part of what is left is rounding, and dividing would bring back that.
const CUT_OFF: f64 = 16.0 * f32::EPSILON as f64;

/// Circular convolution of each channel with one kernel, `(A x)[p] = sum_q k[q] x[p - q]`.
///
/// The kernel's pixel `[rows / 2, columns / 2]` is its middle, `q = 0`; beyond the border the image begins anew on the
/// other side, which makes the Fourier transform diagonalise `A`: `A x = F^-1 (K · F x)` with `K` the spectrum of the
/// kernel. The adjoint takes the conjugate of `K`: it is the correlation with `k`.
///
/// The pseudo-inverse divides by `K` wherever it is above rounding. That is the least-squares answer, and it
/// turns the faintest noise into the picture's largest part: what a prior is for.
#[derive(Debug)]
pub struct Convolution {
    name: &'static str,
    kind: OperatorKind,
    description: String,
    image_shape: [usize; 3],
    kernel: Array2<f64>,
    fft: Fft2,
    /// What each frequency is multiplied by: `K`, its conjugate, and `1 / K` or 0.
    response: Vec<Complex64>,
    adjoint: Vec<Complex64>,
    inverse: Vec<Complex64>,
}

impl Convolution {
    /// A Gaussian blur; the pinned setting is 13 x 13 pixels with a standard deviation of 1.5.
    ///
    /// - `image_shape`: `[C, H, W]`
    /// - `size`: of the kernel, in pixels
    /// - `std`: in pixels
    ///
    /// # Errors
    ///
    /// Parameters out of range, or a kernel larger than the image.
    pub fn gaussian(image_shape: [usize; 3], size: usize, std: f64) -> Result<Self, OperatorError> {
        let kernel = gaussian_kernel(size, std)?;
        let description = format!("Gaussian blur {size}x{size}, standard deviation {std} px, circular boundary");
        Self::named("deconvolution", OperatorKind::Blur, description, image_shape, kernel)
    }

    /// The blur of a shaken camera, see [`camera_shake_kernel`].
    ///
    /// # Errors
    ///
    /// As [`Self::gaussian`].
    pub fn motion_blur(image_shape: [usize; 3], size: usize, intensity: f64, seed: u64) -> Result<Self, OperatorError> {
        let kernel = camera_shake_kernel(size, intensity, seed)?;
        let description =
            format!("camera shake {size}x{size}, intensity {intensity}, kernel seed {seed}, circular boundary");
        Self::named(
            "motion-blur",
            OperatorKind::MotionBlur,
            description,
            image_shape,
            kernel,
        )
    }

    /// A kernel from an image file: its brightness, divided by the sum. What is transparent gives no light.
    ///
    /// # Errors
    ///
    /// A file that is not there, is no image, is black everywhere or larger than the image.
    pub fn from_kernel_file(image_shape: [usize; 3], path: &Path) -> Result<Self, OperatorError> {
        let name = "kernel";
        let (kernel, remark) = kernel_from_file(name, path)?;
        let (height, width) = kernel.dim();
        let origin = from_file(path, &remark);
        let description = format!("kernel {height}x{width}, circular boundary{origin}");
        Self::named(name, OperatorKind::Blur, description, image_shape, kernel)
    }

    /// Any kernel `[rows, columns]` up to the size of the image, as it is: neither normalised nor flipped.
    ///
    /// # Errors
    ///
    /// A kernel that is empty, larger than the image, or holds a NaN or an infinity.
    pub fn from_kernel(image_shape: [usize; 3], kernel: &ArrayRef2<f64>) -> Result<Self, OperatorError> {
        let (height, width) = kernel.dim();
        let description = format!("kernel {height}x{width}, circular boundary");
        Self::named(
            "kernel",
            OperatorKind::Blur,
            description,
            image_shape,
            kernel.to_owned(),
        )
    }

    fn named(
        name: &'static str,
        kind: OperatorKind,
        description: String,
        image_shape: [usize; 3],
        kernel: Array2<f64>,
    ) -> Result<Self, OperatorError> {
        check_image_shape(name, image_shape)?;
        let ([_, height, width], (rows, columns)) = (image_shape, kernel.dim());
        if !(1..=height).contains(&rows) || !(1..=width).contains(&columns) {
            return Err(refuse(
                name,
                "the kernel's size",
                format!("at least 1x1 and at most the image's {height}x{width}"),
                format!("{rows}x{columns}"),
            ));
        }
        if let Some(value) = kernel.iter().find(|value| !value.is_finite()) {
            return Err(refuse(name, "the kernel's weights", "finite numbers", value));
        }
        let fft = Fft2::new(height, width);
        let response = spectrum(&fft, &kernel, height, width);
        let greatest = response.iter().map(|k| k.norm()).fold(0.0, f64::max);
        let invert = |k: &Complex64| {
            if k.norm() > CUT_OFF * greatest {
                k.inv()
            } else {
                Complex64::ZERO
            }
        };
        Ok(Self {
            name,
            kind,
            description,
            image_shape,
            adjoint: response.iter().map(Complex64::conj).collect(),
            inverse: response.iter().map(invert).collect(),
            kernel,
            fft,
            response,
        })
    }

    /// The kernel `[rows, columns]`.
    #[must_use]
    pub fn kernel(&self) -> &Array2<f64> {
        &self.kernel
    }

    /// `K / |K|`; 1 where next to nothing is left of a frequency, for there the phase is rounding, and any will do.
    fn phases(&self) -> Vec<Complex64> {
        let least = 1e-9 * self.norm();
        let phase = |k: &Complex64| {
            let size = k.norm();
            if size > least { k / size } else { Complex64::ONE }
        };
        self.response.iter().map(phase).collect()
    }

    /// Multiplies each frequency of each plane by a number of its own.
    fn filter(&self, batch: &ArrayRef4<f32>, factors: &[Complex64]) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let memory = || (self.fft.spectrum(), self.fft.scratch());
        map_planes(
            batch,
            [height, width],
            memory,
            |memory: &mut (Vec<Complex64>, FftScratch), from, to| {
                let (spectrum, scratch) = memory;
                self.fft
                    .forward(height, |y, x| f64::from(from[y * width + x]), spectrum, scratch);
                for (value, factor) in spectrum.iter_mut().zip(factors) {
                    *value *= factor;
                }
                let write = |y: usize, row: &[f64]| {
                    for (pixel, &value) in to[y * width..].iter_mut().zip(row) {
                        *pixel = value as f32;
                    }
                };
                self.fft.backward(spectrum, height, write, scratch);
            },
        )
    }

    /// Each plane in the real Fourier basis, or back.
    fn hartley(&self, batch: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let hartley = Hartley::new(height, width);
        map_planes(
            batch,
            [height, width],
            || hartley.memory(),
            |memory, from, to| {
                hartley.transform(from, to, memory);
            },
        )
    }
}

/// The spectrum of the kernel on a plane of the image's size, its middle at the origin.
fn spectrum(fft: &Fft2, kernel: &Array2<f64>, height: usize, width: usize) -> Vec<Complex64> {
    let (rows, columns) = kernel.dim();
    let mut plane = Array2::zeros((height, width));
    for ((i, j), &weight) in kernel.indexed_iter() {
        plane[[(i + height - rows / 2) % height, (j + width - columns / 2) % width]] = weight;
    }
    let mut spectrum = fft.spectrum();
    fft.forward(height, |y, x| plane[[y, x]], &mut spectrum, &mut fft.scratch());
    spectrum
}

impl ForwardOperator for Convolution {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> OperatorKind {
        self.kind
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.filter(x, &self.response)
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.filter(v, &self.adjoint)
    }

    /// `A^T b`: blurred once more, but without the noise that the pseudo-inverse blows up.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.filter(b, &self.adjoint)
    }

    /// The blurred image itself.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        b.to_owned()
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for Convolution {
    fn pseudo_inverse_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.filter(b, &self.inverse)
    }

    /// `F^-1 (F v / (r2 |K|^2 + sigma2))`; where nothing is left to divide by, 0.
    fn solve_gram_unchecked(&self, v: &ArrayRef4<f32>, sigma2: f64, r2: f64) -> Array4<f32> {
        let greatest = r2 * self.norm().powi(2) + sigma2;
        let factor = |k: &Complex64| {
            let gram = r2 * k.norm_sqr() + sigma2;
            let factor = if gram > CUT_OFF.powi(2) * greatest {
                1.0 / gram
            } else {
                0.0
            };
            Complex64::new(factor, 0.0)
        };
        let factors: Vec<Complex64> = self.response.iter().map(factor).collect();
        self.filter(v, &factors)
    }

    /// `max |K|`.
    fn norm(&self) -> f64 {
        self.response.iter().map(|k| k.norm()).fold(0.0, f64::max)
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// In the real Fourier basis (that of the Hartley transform) the singular values are `|K|`, `V` is the basis, and `U`
/// is the basis after the convolution whose spectrum is `K / |K|`: it turns each pair of frequencies by its phase and
/// keeps all norms.
impl SpectralOperator for Convolution {
    fn singular_values(&self) -> Vec<f32> {
        let [channels, height, width] = self.image_shape;
        let hartley = Hartley::new(height, width);
        let plane = hartley.by_place(|half| self.response[half].norm() as f32);
        plane.repeat(channels)
    }

    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32> {
        flatten(&self.hartley(x))
    }

    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32> {
        self.hartley(&unflatten(z, self.image_shape))
    }

    fn measurement_to_spectrum_unchecked(&self, b: &ArrayRef4<f32>) -> Array2<f32> {
        let against: Vec<Complex64> = self.phases().iter().map(Complex64::conj).collect();
        flatten(&self.hartley(&self.filter(b, &against)))
    }

    fn spectrum_to_measurement_unchecked(&self, y: &ArrayRef2<f32>) -> Array4<f32> {
        self.filter(&self.hartley(&unflatten(y, self.image_shape)), &self.phases())
    }
}

pub(super) const GAUSSIAN: Entry = Entry {
    name: "deconvolution",
    syntax: "[:SIZE,STD]",
    meaning: "Gaussian blur (SIZE 13 pixels, STD 1.5)",
    kind: OperatorKind::Blur,
    parse: |words| {
        let (size, std) = (words.next("SIZE", 13)?, words.next("STD", 1.5)?);
        Ok(Recipe::new(format!("{size},{std}"), move |image_shape, _seed| {
            Convolution::gaussian(image_shape, size, std)
        }))
    },
};

pub(super) const MOTION_BLUR: Entry = Entry {
    name: "motion-blur",
    syntax: "[:SIZE,INTENSITY,SEED]",
    meaning: "camera shake (SIZE 15 pixels, INTENSITY 0.5 of 0 to 1, SEED as --seed)",
    kind: OperatorKind::MotionBlur,
    parse: |words| {
        let (size, intensity) = (words.next("SIZE", 15)?, words.next("INTENSITY", 0.5)?);
        // Of the kernel; the run's own where left out.
        let own: Option<u64> = words.optional("SEED")?;
        let seed = own.map_or_else(String::new, |seed| format!(",{seed}"));
        Ok(Recipe::new(
            format!("{size},{intensity}{seed}"),
            move |image_shape, seed| Convolution::motion_blur(image_shape, size, intensity, own.unwrap_or(seed)),
        ))
    },
};

pub(super) const KERNEL_FILE: Entry = Entry {
    name: "kernel",
    syntax: ":FILE",
    meaning: "blur with a kernel from an image file",
    kind: OperatorKind::Blur,
    parse: |words| {
        let file = words.file()?;
        Ok(Recipe::new(file.display().to_string(), move |image_shape, _seed| {
            Convolution::from_kernel_file(image_shape, &file)
        }))
    },
};
