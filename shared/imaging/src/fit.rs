//! From a decoded picture to sRGB pixels of the wanted size.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};

use crate::decode::{Picture, with_decoded};
use crate::error::ImageError;
use crate::profile::to_srgb;

/// Reads one image of any size, grey, with alpha or of 16 bits, as `size` x `size` RGB bytes. The text says what was
/// done to make it fit; `None` when it fitted as it was.
pub(crate) fn read_rgb(bytes: &[u8], size: usize, label: &str) -> Result<(RgbImage, Option<String>), ImageError> {
    with_decoded(bytes, label, |Picture { image, profile }| {
        let (square, fitted) = fit(image, size as u32);
        // The few pixels that are left, rather than all of a photograph.
        let (square, coloured) = match profile {
            Some(profile) => to_srgb(square, &profile),
            None => (square, None),
        };
        let notes: Vec<String> = fitted.into_iter().chain(coloured).collect();
        (square, (!notes.is_empty()).then(|| notes.join("; ")))
    })
}

/// The centre square, laid on white and resized.
fn fit(image: DynamicImage, size: u32) -> (RgbImage, Option<String>) {
    let (width, height) = (image.width(), image.height());
    let note = fitted(width, height, size);
    let side = width.min(height);
    let square = if width == height {
        opaque(image)
    } else {
        opaque(image.crop_imm((width - side) / 2, (height - side) / 2, side, side))
    };
    if side == size {
        return (square, note);
    }
    (imageops::resize(&square, size, size, FilterType::Lanczos3), note)
}

/// What is done to a picture to make its centre square fit, in words; none where it fits as it is.
pub(crate) fn fitted(width: u32, height: u32, size: u32) -> Option<String> {
    let side = width.min(height);
    let cropped = (width != height).then(|| format!("cropped to the centre {side}x{side}"));
    let resized = (side != size).then(|| format!("resized to {size}x{size}"));
    let done: Vec<String> = cropped.into_iter().chain(resized).collect();
    (!done.is_empty()).then(|| format!("{width}x{height} {}", done.join(" and ")))
}

/// RGB; what is transparent lies on white.
fn opaque(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
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
