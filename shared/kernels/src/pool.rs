//! Max-pooling, forward only: with [`crate::window`] what published classification networks are made of.

use rayon::prelude::*;

use crate::check_len;

/// The sizes of a max-pooling without padding. With `ceil` a last window that begins inside the image counts even where
/// it ends outside (PyTorch's `ceil_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Channel planes: images times channels.
    pub planes: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
    /// Side of the window.
    pub window: usize,
    /// Rows and columns from one window to the next.
    pub stride: usize,
    /// Whether windows may end outside.
    pub ceil: bool,
}

impl MaxPool {
    fn positions(&self, size: usize) -> usize {
        let steps = size - self.window;
        let count = if self.ceil {
            steps.div_ceil(self.stride)
        } else {
            steps / self.stride
        } + 1;
        // A window that would begin outside does not exist.
        count.min(size.div_ceil(self.stride))
    }

    /// Rows of the output.
    #[must_use]
    pub fn out_height(&self) -> usize {
        self.positions(self.height)
    }

    /// Columns of the output.
    #[must_use]
    pub fn out_width(&self) -> usize {
        self.positions(self.width)
    }

    #[track_caller]
    fn check(&self) {
        assert!(
            self.window > 0 && self.stride > 0,
            "max-pooling: a size is zero in {self:?}"
        );
        let fits = self.window <= self.height.min(self.width);
        assert!(fits, "max-pooling: the window is larger than the image in {self:?}");
    }

    /// The largest value of window `(y, x)` in a plane.
    fn largest(&self, plane: &[f32], y: usize, x: usize) -> f32 {
        let (top, left) = (y * self.stride, x * self.stride);
        let mut largest = plane[top * self.width + left];
        for row in top..(top + self.window).min(self.height) {
            for value in &plane[row * self.width..][left..(left + self.window).min(self.width)] {
                if *value > largest {
                    largest = *value;
                }
            }
        }
        largest
    }
}

/// The largest value in each window; overwrites `out`. `x` is `[planes][height][width]`, `out`
/// `[planes][out_height][out_width]`.
pub fn max_pool(shape: &MaxPool, x: &[f32], out: &mut [f32]) {
    shape.check();
    let (height, width) = (shape.out_height(), shape.out_width());
    check_len("max_pool: x", shape.planes * shape.height * shape.width, x.len());
    check_len("max_pool: out", shape.planes * height * width, out.len());
    let planes = x
        .par_chunks(shape.height * shape.width)
        .zip(out.par_chunks_mut(height * width));
    planes.for_each(|(plane, out)| {
        for (index, out) in out.iter_mut().enumerate() {
            *out = shape.largest(plane, index / width, index % width);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_the_largest_value_of_each_window() {
        let pool = |height, width, window, stride, ceil| MaxPool {
            planes: 1,
            height,
            width,
            window,
            stride,
            ceil,
        };
        // A last window that ends outside counts with `ceil` only.
        let x: Vec<f32> = [3.0, 1.0, 2.0, 9.0].repeat(4);
        let (floor, ceil) = (pool(4, 4, 3, 2, false), pool(4, 4, 3, 2, true));
        assert_eq!((floor.out_height(), ceil.out_height()), (1, 2));
        let mut out = vec![f32::NAN; 4];
        max_pool(&ceil, &x, &mut out);
        assert_eq!(out, [3.0, 9.0, 3.0, 9.0]);
        // No window begins outside, even where `ceil` would have one: size 5, window 1, stride 4 has pixels 0 and 4.
        assert_eq!(pool(5, 6, 1, 4, true).out_width(), 2);
        assert_eq!(
            (
                pool(13, 13, 3, 2, false).out_height(),
                pool(31, 31, 3, 2, true).out_height()
            ),
            (6, 15)
        );
    }
}
