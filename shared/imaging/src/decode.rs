//! From a file's bytes to RGB pixels of the wanted size.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use ndarray::Array2;

use crate::error::ImageError;
use crate::source::Source;

const MAX_SIDE: u32 = 30_000;
const MAX_PIXEL_BYTES: u64 = 1 << 30;

/// Reads one image of any size, grey, with alpha or of 16 bits, as `size` x `size` RGB bytes. The text says what was
/// done to make it fit; `None` when it fitted as it was.
pub(crate) fn decode(bytes: &[u8], size: usize, label: &str) -> Result<(RgbImage, Option<String>), ImageError> {
    let image = open(bytes, label)?;
    let image = if image.color().has_alpha() {
        on_white(&image)
    } else {
        image.into_rgb8()
    };
    Ok(fit(image, size))
}

/// Reads the one image at `path` as brightness in [0, 1], `[rows, columns]`, with all of 16 bits; resized to `size`,
/// rows and columns, without cropping. What is transparent lies on white.
pub(crate) fn read_grey(path: &Path, size: Option<[usize; 2]>) -> Result<Array2<f32>, ImageError> {
    let mut source = Source::open(path)?;
    if source.len() != 1 {
        return Err(ImageError::NoImages {
            path: path.to_owned(),
            found: format!("{} images where one is wanted", source.len()),
        });
    }
    let image = open(&source.read(0)?, &source.label(0))?;
    let mut grey = if image.color().has_alpha() {
        DynamicImage::from(on_white(&image)).into_luma16()
    } else {
        image.into_luma16()
    };
    if let Some([height, width]) = size
        && grey.dimensions() != (width as u32, height as u32)
    {
        grey = imageops::resize(&grey, width as u32, height as u32, FilterType::Triangle);
    }
    let (width, height) = grey.dimensions();
    Ok(Array2::from_shape_fn((height as usize, width as usize), |(y, x)| {
        f32::from(grey.get_pixel(x as u32, y as u32)[0]) / f32::from(u16::MAX)
    }))
}

/// Decodes a file of any size and kind, the right way up.
fn open(bytes: &[u8], label: &str) -> Result<DynamicImage, ImageError> {
    let broken = |reason: String| ImageError::Broken {
        file: label.to_owned(),
        reason,
    };
    if bytes.is_empty() {
        return Err(broken("the file is empty".into()));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| broken(e.to_string()))?;
    if reader.format().is_none() {
        return Err(broken("its first bytes are not those of an image".into()));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXEL_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| broken(error.to_string()))?;
    // The header alone is read so far: a small file that claims a huge picture ends here.
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MAX_PIXEL_BYTES || width > MAX_SIDE || height > MAX_SIDE {
        return Err(ImageError::TooLarge {
            what: label.to_owned(),
            found: format!("{width}x{height} pixels"),
            limit: format!("{MAX_SIDE} pixels a side and {} MiB unpacked", MAX_PIXEL_BYTES >> 20),
        });
    }
    if width == 0 || height == 0 {
        return Err(broken(format!("it has no pixels ({width}x{height})")));
    }
    // How the camera was held: a photograph must not arrive lying on its side.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(error.to_string()))?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

fn on_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (out, pixel) in rgb.pixels_mut().zip(rgba.pixels()) {
        let alpha = u32::from(pixel[3]);
        for channel in 0..3 {
            let value = u32::from(pixel[channel]) * alpha + 255 * (255 - alpha);
            out[channel] = ((value + 127) / 255) as u8;
        }
    }
    rgb
}

fn fit(image: RgbImage, size: usize) -> (RgbImage, Option<String>) {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    let wanted = size as u32;
    if (width, height) == (wanted, wanted) {
        return (image, None);
    }
    let mut note = format!("{width}x{height}");
    let square = if width == height {
        image
    } else {
        note.push_str(&format!(" cropped to the centre {side}x{side}"));
        imageops::crop_imm(&image, (width - side) / 2, (height - side) / 2, side, side).to_image()
    };
    if side == wanted {
        return (square, Some(note));
    }
    note.push_str(if width == height { " resized" } else { " and resized" });
    note.push_str(&format!(" to {size}x{size}"));
    (
        imageops::resize(&square, wanted, wanted, FilterType::Lanczos3),
        Some(note),
    )
}
