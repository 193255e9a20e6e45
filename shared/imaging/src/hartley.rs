//! The real Fourier basis of planes.

use rustfft::num_complex::Complex64;

use crate::fft::{Fft2, FftScratch};

/// The orthonormal Hartley transform of planes `[height][width]` (Hartley 1942; Bracewell 1983):
///
/// ```text
/// h[k, l] = sum_{y, x} X[y, x] cas(2 pi (k y / height + l x / width)) / sqrt(height width),    cas = cos + sin
/// ```
///
/// It is real, symmetric and its own inverse. With the Fourier transform `Y`, `h[k, l] sqrt(height width) = Re Y - Im
/// Y`; of the opposite frequency it is `Re Y + Im Y`, so that each pair of opposite frequencies has two real numbers
/// that hold the same as the one complex number. A convolution with a real and symmetric spectrum is diagonal in this
/// basis.
#[derive(Debug)]
pub(crate) struct Hartley {
    height: usize,
    width: usize,
    fft: Fft2,
}

/// What one thread works in.
pub(crate) type Memory = (Vec<Complex64>, FftScratch);

impl Hartley {
    pub(crate) fn new(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            fft: Fft2::new(height, width),
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        (self.fft.spectrum(), self.fft.scratch())
    }

    /// Transforms a plane; a second time gives the plane back.
    pub(crate) fn transform(&self, from: &[f32], to: &mut [f32], (spectrum, scratch): &mut Memory) {
        let pixel = |y: usize, x: usize| f64::from(from[y * self.width + x]);
        self.fft.forward(self.height, pixel, spectrum, scratch);
        let scale = 1.0 / ((self.height * self.width) as f64).sqrt();
        self.fft.frequencies(|place, opposite, half| {
            let y = spectrum[half];
            to[opposite] = (scale * (y.re + y.im)) as f32;
            to[place] = (scale * (y.re - y.im)) as f32;
        });
    }

    /// A plane of what each frequency has in a half spectrum, the same for opposite ones.
    pub(crate) fn by_place(&self, value: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut plane = vec![0.0; self.height * self.width];
        self.fft.frequencies(|place, opposite, half| {
            plane[opposite] = value(half);
            plane[place] = value(half);
        });
        plane
    }
}
