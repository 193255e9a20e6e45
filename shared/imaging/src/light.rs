//! Images that say how much of something there is where: masks and blur kernels. Transparent is nothing.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, Rgb};
use ndarray::Array2;

use crate::decode::with_decoded;
use crate::error::ImageError;
use crate::fit::fitted;
use crate::load::check_image_size;
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
    /// What was done to make its centre fit; None where nothing was, or where all of it was to fit.
    pub adapted: Option<String>,
}

/// How an image is made to fit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fit {
    /// Not at all.
    AsItIs,
    /// To so many rows and columns, all of it.
    Whole([usize; 2]),
    /// Its centre square, to that side: as images are.
    Centre(usize),
}

impl Fit {
    /// What it does to an image's centre, in words, if anything.
    fn words(self, image: &DynamicImage) -> Option<String> {
        match self {
            Self::AsItIs | Self::Whole(_) => None,
            Self::Centre(side) => fitted(image.width(), image.height(), side as u32),
        }
    }
}

/// A mask from an image file.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// `[size, size]`: true where the file is bright, half or above.
    pub bright: Array2<bool>,
    /// What a user should know of the file: that it has colours, which count by their brightness, or that it is
    /// transparent in places, which count as black. Empty for a grey one.
    pub remark: String,
    /// Such as `640x480 cropped to the centre 480x480 and resized to 64x64`; `None` when it fitted as it was.
    pub adapted: Option<String>,
}

/// Reads a mask that belongs to an image: as the image would be, it is cropped to its centre square and resized to
/// `size` x `size`.
///
/// # Errors
///
/// A file that is not there or is no image.
pub fn load_mask(path: &Path, size: usize) -> Result<Mask, ImageError> {
    check_image_size(size)?;
    Ok(Light::read(path, Fit::Centre(size))?.into())
}

/// As [`load_mask`], from the bytes of a file.
///
/// - `name`: what an error calls the file
///
/// # Errors
///
/// Bytes that are no image; a size of 0 or above 1024.
pub fn decode_mask(bytes: &[u8], name: &str, size: usize) -> Result<Mask, ImageError> {
    check_image_size(size)?;
    Ok(Light::decode(bytes, name, Fit::Centre(size))?.into())
}

impl From<Light> for Mask {
    fn from(light: Light) -> Self {
        Self {
            bright: light.brightness.mapv(|brightness| brightness >= 0.5),
            remark: light.remark,
            adapted: light.adapted,
        }
    }
}

impl Light {
    /// The one image at `path`. Colours count by their brightness, and what is transparent as black.
    pub(crate) fn read(path: &Path, fit: Fit) -> Result<Self, ImageError> {
        let mut source = Source::open(path)?;
        if source.len() != 1 {
            return Err(ImageError::NoImages {
                path: path.to_owned(),
                found: format!("{} images where one is wanted", source.len()),
            });
        }
        Self::decode(&source.read(0)?, &source.label(0), fit)
    }

    fn decode(bytes: &[u8], label: &str, fit: Fit) -> Result<Self, ImageError> {
        with_decoded(bytes, label, |picture| Self {
            remark: remark(&picture.image),
            adapted: fit.words(&picture.image),
            brightness: brightness(picture.image, fit),
        })
    }
}

fn brightness(mut image: DynamicImage, fit: Fit) -> Array2<f32> {
    let (width, height) = (image.width(), image.height());
    let (columns, rows) = match fit {
        Fit::AsItIs => (width, height),
        Fit::Whole([rows, columns]) => (columns as u32, rows as u32),
        Fit::Centre(side) => {
            let square = width.min(height);
            image = image.crop_imm((width - square) / 2, (height - square) / 2, square, square);
            (side as u32, side as u32)
        }
    };
    let mut grey = image.into_luma_alpha16();
    for pixel in grey.pixels_mut() {
        let [value, alpha] = pixel.0.map(u32::from);
        pixel.0 = [(value * alpha / u32::from(u16::MAX)) as u16, u16::MAX];
    }
    if grey.dimensions() != (columns, rows) {
        grey = imageops::resize(&grey, columns, rows, FilterType::Triangle);
    }
    Array2::from_shape_fn((rows as usize, columns as usize), |(y, x)| {
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
