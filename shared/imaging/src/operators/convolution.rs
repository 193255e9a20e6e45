//! Blur: circular convolution with any kernel, in Fourier space.

use std::path::Path;

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};
use rustfft::num_complex::Complex64;

use super::kernels::kernel_from_file;
use super::{
    camera_shake_kernel, check_image_shape, check_images, check_measurement, check_pullback, gaussian_kernel,
    map_planes, refuse,
};
use crate::fft::{Fft2, FftScratch};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};

/// A kernel's response to a frequency counts as zero below this part of its greatest one.
///
/// A measurement in `f32` carries rounding errors of up to 6e-8 of its size at every frequency. Where the blur leaves
/// less than 2e-6 of the image, a good part of what is left is rounding, and dividing would bring back that.
const CUT_OFF: f64 = 16.0 * f32::EPSILON as f64;

/// Circular convolution of each channel with one kernel, `(A x)[p] = sum_q k[q] x[p - q]`.
///
/// The kernel's pixel `[rows / 2, columns / 2]` is its middle, `q = 0`; beyond the border the image begins anew on the other
/// side, which makes the Fourier transform diagonalise `A`: `A x = F^-1 (K · F x)` with `K` the spectrum of the kernel.
/// The adjoint takes the conjugate of `K`: it is the correlation with `k`.
///
/// The pseudo-inverse divides by `K` wherever it is above rounding. That is the least-squares answer, and it
/// turns the faintest noise into the picture's largest part: what a prior is for.
#[derive(Debug)]
pub struct Convolution {
    name: &'static str,
    kind: OperatorKind,
    parameters: String,
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
    /// Parameters out of range, or a kernel larger than the image.
    pub fn gaussian(image_shape: [usize; 3], size: usize, std: f64) -> Result<Self, OperatorError> {
        let kernel = gaussian_kernel(size, std)?;
        let parameters = format!("Gaussian blur {size}x{size}, standard deviation {std} px, circular boundary");
        Self::named("deconvolution", OperatorKind::Blur, parameters, image_shape, kernel)
    }

    /// The blur of a shaken camera, see [`camera_shake_kernel`].
    ///
    /// # Errors
    /// As [`Self::gaussian`].
    pub fn motion_blur(image_shape: [usize; 3], size: usize, intensity: f64, seed: u64) -> Result<Self, OperatorError> {
        let kernel = camera_shake_kernel(size, intensity, seed)?;
        let parameters =
            format!("camera shake {size}x{size}, intensity {intensity}, kernel seed {seed}, circular boundary");
        Self::named("motion-blur", OperatorKind::MotionBlur, parameters, image_shape, kernel)
    }

    /// A kernel from an image file: its brightness, divided by the sum.
    ///
    /// # Errors
    /// A file that is not there, is no image, is black everywhere or larger than the image.
    pub fn from_kernel_file(image_shape: [usize; 3], path: &Path) -> Result<Self, OperatorError> {
        let name = "kernel";
        let kernel = kernel_from_file(name, path)?;
        let (height, width) = kernel.dim();
        let parameters = format!("kernel {height}x{width} from `{}`, circular boundary", path.display());
        Self::named(name, OperatorKind::Blur, parameters, image_shape, kernel)
    }

    /// Any kernel `[rows, columns]` up to the size of the image, as it is: neither normalised nor flipped.
    ///
    /// # Errors
    /// A kernel that is empty, larger than the image, or holds a NaN or an infinity.
    pub fn from_kernel(image_shape: [usize; 3], kernel: &ArrayRef2<f64>) -> Result<Self, OperatorError> {
        let (height, width) = kernel.dim();
        let parameters = format!("kernel {height}x{width}, circular boundary");
        Self::named("kernel", OperatorKind::Blur, parameters, image_shape, kernel.to_owned())
    }

    fn named(
        name: &'static str,
        kind: OperatorKind,
        parameters: String,
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
            parameters,
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

    fn parameters(&self) -> String {
        self.parameters.clone()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn apply(&self, x: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_images(self, x)?;
        Ok(self.filter(x, &self.response))
    }

    fn vjp(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_pullback(self, x, v)?;
        Ok(self.filter(v, &self.adjoint))
    }

    fn pseudo_inverse(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.filter(b, &self.inverse))
    }

    /// `A^T b`: blurred once more, but without the noise that the pseudo-inverse blows up.
    fn start_image(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(self.filter(b, &self.adjoint))
    }

    /// The blurred image itself.
    fn picture(&self, b: &ArrayRef4<f32>) -> Result<Array4<f32>, OperatorError> {
        check_measurement(self, b)?;
        Ok(b.to_owned())
    }
}
