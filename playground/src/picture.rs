//! Between arrays and the bytes that a page draws.

use anyhow::{Result, ensure};
use imaging::{from_byte, to_byte};
use ndarray::{Array2, Array3, ArrayRef3};
use serde::Serialize;

/// An image as the page draws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Picture {
    height: usize,
    width: usize,
    /// Three bytes for each pixel, in reading order.
    #[serde(with = "crate::bytes")]
    rgb: Vec<u8>,
}

impl Picture {
    /// An image `[3, H, W]` or `[1, H, W]`; what lies outside of [-1, 1] is cut off.
    #[must_use]
    pub fn of(image: &ArrayRef3<f32>) -> Self {
        let (channels, height, width) = image.dim();
        let mut rgb = Vec::with_capacity(3 * height * width);
        for y in 0..height {
            for x in 0..width {
                rgb.extend((0..3).map(|c| to_byte(image[[c.min(channels - 1), y, x]])));
            }
        }
        Self { height, width, rgb }
    }

    /// Its bytes, red, green and blue of each pixel, in reading order.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// The image `[3, H, W]` in [-1, 1] of these bytes.
///
/// # Errors
///
/// Another number of bytes than such an image has.
pub fn image_of(rgb: &[u8], [channels, height, width]: [usize; 3]) -> Result<Array3<f32>> {
    ensure!(
        channels == 3 && rgb.len() == channels * height * width,
        "the image came with {} bytes: expected {channels} for each of {height}x{width} pixels",
        rgb.len()
    );
    let pixel = |(c, y, x): (usize, usize, usize)| from_byte(rgb[channels * (y * width + x) + c]);
    Ok(Array3::from_shape_fn((channels, height, width), pixel))
}

/// The mask `[H, W]` of these bytes: true where something is drawn.
///
/// # Errors
///
/// Another number of bytes than there are pixels.
pub fn mask_of(bytes: &[u8], [_, height, width]: [usize; 3]) -> Result<Array2<bool>> {
    ensure!(
        bytes.len() == height * width,
        "the mask has {} pixels: expected {height}x{width}, as the image has",
        bytes.len()
    );
    Ok(Array2::from_shape_fn((height, width), |(y, x)| {
        bytes[y * width + x] != 0
    }))
}
