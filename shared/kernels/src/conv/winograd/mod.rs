//! Winograd's algorithm for 3x3 convolutions with stride 1 (Lavin and Gray 2016, "Fast algorithms for convolutional
//! neural networks").
//!
//! An output tile of m x m pixels comes from (m + 2)^2 input pixels d and the kernel g as
//!
//! ```text
//! y = A' [ (G g G') . (B' d B) ] A
//! ```
//!
//! with (m + 2)^2 multiplications instead of 9 m^2: 2.25 times fewer for m = 2, four times fewer for m = 4. Summed
//! over channels, the products at one of the (m + 2)^2 positions are a matrix product, tiles x channels times
//! channels x outputs, and the micro-kernel of [`super::tile`] does it. The transforms work on vectors of channels.

mod convolve;
mod tiles;
mod transform;
mod weight_grad;
mod weights;

pub(super) use convolve::{convolve_f2, convolve_f4};
pub(super) use weight_grad::{weight_grad_f2, weight_grad_f4};
pub(super) use weights::{transform_f2, transform_f4};

use crate::conv::{ConvShape, Share};
use crate::simd::MAX_LANES;

/// Floats of a task's transformed tiles, about: 192 KiB, which leaves room in a core's second-level cache.
const BLOCK_LEN: usize = 48 * 1024;
/// Tiles of a task at most (but for images with longer rows of tiles), and (where the image has them) at least.
const MOST_TILES: usize = 32;
const LEAST_TILES: usize = 8;
/// Tasks that a convolution is cut into where that leaves each enough tiles.
const TASKS: usize = 8;

/// With fewer tasks than these the outputs are shared out as well.
const FEW_TASKS: usize = 16;

/// How the output of a convolution is cut into tiles, and these into tasks. A task takes some rows of an image's tiles,
/// or, where images are small, some whole images: its output is one piece of memory. The sizes alone decide.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    batch: usize,
    /// Pixels of a tile's side.
    m: usize,
    height: usize,
    width: usize,
    /// Tiles in a row, and rows of tiles.
    across: usize,
    down: usize,
    /// Images of a task.
    images: usize,
    /// Rows of tiles of a task; all of them where it takes several images.
    rows: usize,
    share: Share,
}

impl Tiling {
    /// For tasks whose transformed tiles have `channels` padded channels.
    pub(super) fn new(shape: &ConvShape, m: usize, channels: usize, share: Share) -> Self {
        let (across, down) = (shape.width.div_ceil(m), shape.height.div_ceil(m));
        let fit = BLOCK_LEN / ((m + 2) * (m + 2) * channels);
        let share_of_all = match share {
            Share::Tasks => shape.batch * across * down / TASKS,
            Share::Images => MOST_TILES,
        };
        let tiles = fit.min(share_of_all).clamp(LEAST_TILES, MOST_TILES);
        let even = |all: usize, most: usize| all.div_ceil(all.div_ceil(most.max(1)));
        let (images, rows) = if across * down > tiles {
            (1, even(down, tiles / across))
        } else {
            (even(shape.batch.max(1), tiles / (across * down)), down)
        };
        Self {
            batch: shape.batch,
            m,
            height: shape.height,
            width: shape.width,
            across,
            down,
            images,
            rows,
            share,
        }
    }

    /// Whether the outputs are shared out as well, so that there is work for several threads.
    fn shares_outputs(&self) -> bool {
        self.share == Share::Tasks && self.tasks() < FEW_TASKS
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Pixels of a task, but for the last ones.
    fn task_pixels(&self) -> usize {
        (self.rows * self.m).min(self.height) * self.width * self.images
    }

    /// Tiles of a task, but for the last ones.
    fn task_tiles(&self) -> usize {
        self.images * self.rows * self.across
    }

    /// Tasks that an image is cut into.
    fn bands(&self) -> usize {
        self.down.div_ceil(self.rows)
    }

    fn tasks(&self) -> usize {
        self.batch.div_ceil(self.images) * self.bands()
    }

    fn task(&self, index: usize) -> Task {
        let first_image = index / self.bands() * self.images;
        let first_row = index % self.bands() * self.rows;
        let images = self.images.min(self.batch - first_image);
        let rows = self.rows.min(self.down - first_row);
        Task {
            first_image,
            first_row,
            tiles: images * rows * self.across,
        }
    }
}

/// The tiles that one task computes.
#[derive(Clone, Copy)]
struct Task {
    first_image: usize,
    /// The row of tiles in the image where they begin.
    first_row: usize,
    tiles: usize,
}

impl Task {
    /// Image, row and column (in pixels) of a tile.
    #[inline(always)]
    fn place(&self, tiling: &Tiling, tile: usize) -> [usize; 3] {
        let (row, column) = (tile / tiling.across, tile % tiling.across);
        let image = self.first_image + row / tiling.rows;
        let row = self.first_row + row % tiling.rows;
        [image, row * tiling.m, column * tiling.m]
    }
}

/// Floats from one position's matrix to the next: an odd number of cache lines. A transform writes a line at each
/// position in turn; at a distance of, say, 4096 bytes all of these would compete for the few places of one set of the
/// first-level cache.
fn position_stride(floats: usize) -> usize {
    (floats.div_ceil(MAX_LANES) | 1) * MAX_LANES
}
