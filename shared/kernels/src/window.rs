//! Convolution of any kernel size, stride and padding, forward only: published classification networks are made of it,
//! and distances need no gradient.
//!
//! [`crate::conv`] is faster, but knows only the kinds of convolution that a UNet needs. Here each image is unfolded,
//! so that the values under the kernel become a column of a matrix (im2col), and a matrix product does the rest. Images
//! run in parallel; each is unfolded a few rows at a time, so that memory stays small at any image size.

use rayon::prelude::*;

use crate::check_len;
use crate::matmul::{Matrix, Output, multiply};
use crate::scratch::Scratch;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowConv {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Rows and columns from one position of the kernel to the next.
    pub stride: usize,
    /// Rows and columns of zeros around the input.
    pub padding: usize,
}

/// Floats in an unfolded band of rows: 1 MiB, which a core's cache holds.
const BAND_LEN: usize = 256 * 1024;

impl WindowConv {
    /// Rows of the output.
    #[must_use]
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    #[must_use]
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    fn input_len(&self) -> usize {
        self.c_in * self.height * self.width
    }

    fn output_len(&self) -> usize {
        self.c_out * self.out_height() * self.out_width()
    }

    /// Values under the kernel at one position.
    fn column_len(&self) -> usize {
        self.c_in * self.kernel * self.kernel
    }

    #[track_caller]
    fn check(&self) {
        let sizes = [self.c_in, self.c_out, self.height, self.width, self.kernel, self.stride];
        assert!(!sizes.contains(&0), "convolution: a size is zero in {self:?}");
        let fits = self.kernel <= self.height.min(self.width) + 2 * self.padding;
        assert!(
            fits,
            "convolution: the kernel is larger than the padded image in {self:?}"
        );
    }

    /// The output's rows, in bands.
    fn bands(&self) -> impl Iterator<Item = Band> {
        let rows = (BAND_LEN / (self.column_len() * self.out_width())).max(1);
        let (height, width) = (self.out_height(), self.out_width());
        (0..height).step_by(rows).map(move |first| Band {
            first,
            rows: rows.min(height - first),
            width,
        })
    }

    /// For row `row` of the unfolded matrix and row `y` of the output: the row of an input plane that is read there,
    /// and which channel and column offset it belongs to; none where it lies in the padding.
    fn source(&self, row: usize, y: usize) -> Option<(usize, usize)> {
        let (channel, dy) = (row / self.kernel.pow(2), row / self.kernel % self.kernel);
        let input_y = (y * self.stride + dy).checked_sub(self.padding)?;
        (input_y < self.height).then(|| ((channel * self.height + input_y) * self.width, row % self.kernel))
    }

    /// The columns of the output at which kernel column `dx` lies inside the image, and the first of the image's
    /// columns that is met there.
    fn inside(&self, dx: usize) -> (std::ops::Range<usize>, usize) {
        let first = self.padding.saturating_sub(dx).div_ceil(self.stride);
        let end = (self.width + self.padding).saturating_sub(dx).div_ceil(self.stride);
        let end = end.min(self.out_width()).max(first);
        (first..end, (first * self.stride + dx).saturating_sub(self.padding))
    }
}

/// Rows `first..first + rows` of an output of `width` columns.
#[derive(Clone, Copy)]
struct Band {
    first: usize,
    rows: usize,
    width: usize,
}

impl Band {
    fn pixels(&self) -> usize {
        self.rows * self.width
    }

    /// Where the band lies in a channel plane.
    fn range(&self) -> std::ops::Range<usize> {
        self.first * self.width..(self.first + self.rows) * self.width
    }
}

/// Writes the unfolded band: `columns[(c, dy, dx)][pixel]`.
fn unfold(shape: &WindowConv, band: Band, x: &[f32], columns: &mut [f32]) {
    columns.fill(0.0);
    for (row, line) in columns.chunks_exact_mut(band.pixels()).enumerate() {
        for (y, line) in line.chunks_exact_mut(band.width).enumerate() {
            let Some((start, dx)) = shape.source(row, band.first + y) else {
                continue;
            };
            let (inside, first) = shape.inside(dx);
            let from = &x[start..start + shape.width];
            for (value, from) in line[inside]
                .iter_mut()
                .zip(from[first.min(shape.width)..].iter().step_by(shape.stride))
            {
                *value = *from;
            }
        }
    }
}

/// `out = bias + x * weight` (in the sense of neural networks, that is correlation); overwrites `out`.
///
/// `x` is `[batch][c_in][height][width]`, `weight` `[c_out][c_in][kernel][kernel]`, `bias` `[c_out]`, `out`
/// `[batch][c_out][out_height][out_width]`.
pub fn window_conv(shape: &WindowConv, x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    shape.check();
    check_len("window_conv: x", shape.batch * shape.input_len(), x.len());
    check_len("window_conv: weight", shape.c_out * shape.column_len(), weight.len());
    check_len("window_conv: bias", shape.c_out, bias.len());
    check_len("window_conv: out", shape.batch * shape.output_len(), out.len());
    let weight = Matrix::new(weight, shape.c_out, shape.column_len());
    let images = x
        .par_chunks(shape.input_len())
        .zip(out.par_chunks_mut(shape.output_len()));
    images.for_each(|(x, out)| {
        for band in shape.bands() {
            let mut columns = Scratch::take(shape.column_len() * band.pixels());
            unfold(shape, band, x, &mut columns);
            let mut product = Scratch::take(shape.c_out * band.pixels());
            for (row, bias) in product.chunks_exact_mut(band.pixels()).zip(bias) {
                row.fill(*bias);
            }
            multiply(
                1.0,
                weight,
                Matrix::new(&columns, shape.column_len(), band.pixels()),
                Output::Add,
                &mut product,
            );
            let planes = out.chunks_exact_mut(shape.out_height() * shape.out_width());
            for (plane, row) in planes.zip(product.chunks_exact(band.pixels())) {
                plane[band.range()].copy_from_slice(row);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_same_on_any_threads, rng, values};

    /// Kernel, stride, padding, height, width: those of AlexNet, VGG16 and SqueezeNet, and odd ones.
    const KINDS: [(usize, usize, usize, usize, usize); 9] = [
        (11, 4, 2, 31, 35),
        (5, 1, 2, 7, 6),
        (3, 1, 1, 9, 8),
        (3, 2, 0, 9, 12),
        (1, 1, 0, 4, 5),
        (2, 3, 1, 5, 7),
        (5, 2, 4, 3, 2),
        (3, 1, 1, 1, 1),
        (4, 5, 0, 11, 4),
    ];

    fn shape((kernel, stride, padding, height, width): (usize, usize, usize, usize, usize)) -> WindowConv {
        WindowConv {
            batch: 2,
            c_in: 3,
            c_out: 4,
            height,
            width,
            kernel,
            stride,
            padding,
        }
    }

    /// Calls `visit(output, input, weight)` with the indices of every product of the convolution.
    fn for_each_product(s: &WindowConv, mut visit: impl FnMut(usize, usize, usize)) {
        let (rows, columns) = (s.out_height(), s.out_width());
        for output in 0..s.batch * s.c_out * rows * columns {
            let (n, o) = (output / (s.c_out * rows * columns), output / (rows * columns) % s.c_out);
            let (y, x) = (output / columns % rows, output % columns);
            for tap in 0..s.column_len() {
                let (c, dy, dx) = (tap / s.kernel.pow(2), tap / s.kernel % s.kernel, tap % s.kernel);
                let (iy, ix) = (y * s.stride + dy, x * s.stride + dx);
                let inside = |i: usize, size: usize| (s.padding..size + s.padding).contains(&i);
                if inside(iy, s.height) && inside(ix, s.width) {
                    let input = ((n * s.c_in + c) * s.height + iy - s.padding) * s.width + ix - s.padding;
                    visit(output, input, o * s.column_len() + tap);
                }
            }
        }
    }

    #[test]
    fn convolutions_of_any_kind_match_the_definition() {
        for (seed, kind) in (0..).zip(KINDS) {
            let (s, rng) = (shape(kind), &mut rng(seed));
            let x = values(rng, s.batch * s.input_len());
            let (weight, bias) = (values(rng, s.c_out * s.column_len()), values(rng, s.c_out));
            let plane = s.out_height() * s.out_width();
            let mut out = vec![f32::NAN; s.batch * s.output_len()];
            let mut expected: Vec<f64> = (0..out.len()).map(|i| f64::from(bias[i / plane % s.c_out])).collect();
            for_each_product(&s, |o, i, w| {
                expected[o] += f64::from(x[i]) * f64::from(weight[w]);
            });
            window_conv(&s, &x, &weight, &bias, &mut out);
            assert_close(&format!("{kind:?}"), &out, &expected, 1e-5);
        }
    }

    /// So many channels that the image is unfolded in several bands.
    #[test]
    fn an_image_in_several_bands_gives_the_same_bits_on_any_threads() {
        let s = WindowConv {
            batch: 3,
            c_in: 64,
            c_out: 8,
            height: 33,
            width: 31,
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        assert!(s.bands().count() > 1);
        let rng = &mut rng(1);
        let x = values(rng, s.batch * s.input_len());
        let (weight, bias) = (values(rng, s.c_out * s.column_len()), values(rng, s.c_out));
        let run = || {
            let mut out = vec![f32::NAN; s.batch * s.output_len()];
            window_conv(&s, &x, &weight, &bias, &mut out);
            out
        };
        assert_same_on_any_threads("convolution in bands", run);
        let mut expected = vec![0.0; s.batch * s.output_len()];
        for_each_product(&s, |o, i, w| expected[o] += f64::from(x[i]) * f64::from(weight[w]));
        let plane = s.out_height() * s.out_width();
        let shifted: Vec<f64> = expected
            .iter()
            .enumerate()
            .map(|(i, e)| e + f64::from(bias[i / plane % s.c_out]))
            .collect();
        assert_close("convolution in bands", &run(), &shifted, 1e-4);
    }

    #[test]
    #[should_panic(expected = "window_conv: weight: expected 36 values, got 5")]
    fn wrong_length_is_named() {
        let s = WindowConv {
            batch: 1,
            c_in: 1,
            ..shape(KINDS[2])
        };
        window_conv(
            &s,
            &vec![0.0; s.input_len()],
            &[0.0; 5],
            &[0.0; 4],
            &mut vec![0.0; s.output_len()],
        );
    }
}
