//! Images that say how much of something there is where: masks and blur kernels. Transparent is nothing.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, Rgb};
use ndarray::Array2;

use crate::decode::with_decoded;
use crate::error::ImageError;
use crate::source::Source;

/// Channels of a pixel that differ by more than so many levels of 255 make it a colour.
const COLOURED: u8 = 8;

/// The brightness of an image.
#[derive(Debug, Clone)]
pub(crate) struct Light {
    /// In [0, 1], `[rows, columns]`, with all of 16 bits.
    pub brightness: Array2<f32>,
    /// What a user should know of it; empty for a grey image without transparency.
    pub remark: String,
}

impl Light {
    /// The one image at `path`; resized to `size`, rows and columns, without cropping. Colours count by their
    /// brightness, and what is transparent as black.
    pub(crate) fn read(path: &Path, size: Option<[usize; 2]>) -> Result<Self, ImageError> {
        let mut source = Source::open(path)?;
        if source.len() != 1 {
            return Err(ImageError::NoImages {
                path: path.to_owned(),
                found: format!("{} images where one is wanted", source.len()),
            });
        }
        with_decoded(&source.read(0)?, &source.label(0), |picture| {
            let remark = remark(&picture.image);
            let brightness = brightness(&picture.image, size);
            Self { brightness, remark }
        })
    }
}

fn brightness(image: &DynamicImage, size: Option<[usize; 2]>) -> Array2<f32> {
    let mut grey = image.to_luma_alpha16();
    for pixel in grey.pixels_mut() {
        let [value, alpha] = pixel.0.map(u32::from);
        pixel.0[0] = (value * alpha / u32::from(u16::MAX)) as u16;
        pixel.0[1] = u16::MAX;
    }
    if let Some([height, width]) = size
        && grey.dimensions() != (width as u32, height as u32)
    {
        grey = imageops::resize(&grey, width as u32, height as u32, FilterType::Triangle);
    }
    let (width, height) = grey.dimensions();
    Array2::from_shape_fn((height as usize, width as usize), |(y, x)| {
        f32::from(grey.get_pixel(x as u32, y as u32)[0]) / f32::from(u16::MAX)
    })
}

/// That colours and transparency are in it, and what they count.
fn remark(image: &DynamicImage) -> String {
    let rgba = image.to_rgba8();
    let mut remarks = Vec::new();
    let is_coloured = |[red, green, blue, alpha]: [u8; 4]| {
        let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
        alpha > 0 && most - least > COLOURED
    };
    if rgba.pixels().any(|pixel| is_coloured(pixel.0)) {
        let [red, green, blue] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(weight);
        remarks.push(format!(
            "it is not grey, and counts by brightness: {red:.2} red + {green:.2} green + {blue:.2} blue"
        ));
    }
    if rgba.pixels().any(|pixel| pixel[3] < 255) {
        remarks.push("what is transparent in it counts as black".into());
    }
    remarks.join("; ")
}

/// The brightness of a colour, as the conversion above takes it.
fn weight(colour: [u8; 3]) -> f64 {
    let pixel = ImageBuffer::from_pixel(1, 1, Rgb(colour.map(|level: u8| u16::from(level) * 257)));
    let grey = DynamicImage::ImageRgb16(pixel).into_luma16();
    f64::from(grey.get_pixel(0, 0)[0]) / f64::from(u16::MAX)
}
