//! JPEG files, read strictly. The `image` crate asks its decoder to pass over what is missing, and to fill it with
//! grey.

use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Decodes a whole file to grey or RGB. Its size was looked at before.
///
/// The error says why it cannot be read.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    // Even a strict decoder looks for the end of the data once a row of blocks only.
    if !has_end_marker(bytes) {
        return Err("it breaks off before its end marker, and a part of the picture may be missing".into());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let colours = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    let (width, height) = (width as u32, height as u32);
    let image = if colours == ColorSpace::Luma {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.ok_or_else(|| "its pixels do not fill it".to_owned())
}

/// Whether the image data end with the marker EOI (ITU-T T.81, annex B). A preview inside a header may have one of its
/// own, so that headers are skipped by their lengths.
fn has_end_marker(bytes: &[u8]) -> bool {
    const STUFFED: u8 = 0x00;
    const FILL: u8 = 0xFF;
    let mut place = 2;
    while let Some(&[first, code]) = bytes.get(place..place + 2) {
        match (first, code) {
            (0xFF, 0xD9) => return true,
            (0xFF, FILL) => place += 1,
            // Zeros that follow a 0xFF of the data, restart markers: they stand alone.
            (0xFF, STUFFED | 0x01 | 0xD0..=0xD8) => place += 2,
            (0xFF, _) => match bytes.get(place + 2..place + 4) {
                Some(&[high, low]) => place += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => place += 1,
        }
    }
    false
}
