//! From a file's bytes to a picture of any size and kind, or to the reason why there is none.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::error::ImageError;
use crate::jpeg;

/// The one limit to what is decoded: RGB bytes, of some 140 million pixels. A telephone's largest photographs have 108.
const MAX_DECODED_BYTES: u64 = 400 << 20;

/// A decoded file, the right way up.
pub(crate) struct Picture {
    pub image: DynamicImage,
    /// The ICC profile that came with it.
    pub profile: Option<Vec<u8>>,
}

/// Decodes a file and hands it to `then`. Where a decoder panics, the file is broken, and is named.
pub(crate) fn with_decoded<T>(bytes: &[u8], label: &str, then: impl FnOnce(Picture) -> T) -> Result<T, ImageError> {
    let decoded = catch_unwind(AssertUnwindSafe(|| open(bytes, label).map(then)));
    decoded.unwrap_or_else(|_| Err(broken(label, "its decoder failed")))
}

fn broken(label: &str, reason: impl ToString) -> ImageError {
    ImageError::Broken {
        file: label.to_owned(),
        reason: reason.to_string(),
    }
}

fn open(bytes: &[u8], label: &str) -> Result<Picture, ImageError> {
    if bytes.is_empty() {
        return Err(broken(label, "the file is empty"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| broken(label, error))?;
    let Some(format) = reader.format() else {
        return Err(broken(label, "its first bytes are not those of an image"));
    };
    // What a decoder needs besides the picture is no more than the picture.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| broken(label, error))?;
    // The header alone is read so far: a small file that claims a huge picture ends here.
    check_size(&decoder, label)?;
    let profile = decoder.icc_profile().ok().flatten();
    let orientation = orientation(&mut decoder);
    let mut image = if format == ImageFormat::Jpeg {
        jpeg::decode(bytes).map_err(|reason| broken(label, reason))?
    } else {
        DynamicImage::from_decoder(decoder).map_err(|error| broken(label, error))?
    };
    image.apply_orientation(orientation);
    Ok(Picture { image, profile })
}

/// How the camera was held: a photograph must not arrive lying on its side. Some programs put the name of JPEG's block
/// before the data in the other formats, too.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten().unwrap_or_default();
    let data = exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif);
    Orientation::from_exif_chunk(data).unwrap_or(Orientation::NoTransforms)
}

fn check_size(decoder: &impl ImageDecoder, label: &str) -> Result<(), ImageError> {
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(broken(label, format!("it has no pixels ({width}x{height})")));
    }
    let in_rgb = 3 * u64::from(width) * u64::from(height);
    let bytes = decoder.total_bytes().max(in_rgb);
    if bytes <= MAX_DECODED_BYTES {
        return Ok(());
    }
    Err(ImageError::TooLarge {
        what: label.to_owned(),
        found: format!("{width}x{height} pixels, {} MiB once decoded", bytes >> 20),
        limit: format!("{} MiB", MAX_DECODED_BYTES >> 20),
    })
}
