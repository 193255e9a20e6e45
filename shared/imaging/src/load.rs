//! Reading a user's own images.

use std::path::PathBuf;

use ndarray::Array3;

use crate::error::ImageError;
use crate::fit::read_rgb;
use crate::list::{ImageList, to_array};

const MAX_SIZE: usize = 1024;

/// One image, the name it goes by in figures and reports, and what was done to make it fit.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The file's name, or its path inside the folder or archive that was named.
    pub name: String,
    /// `[3, size, size]`, in [-1, 1].
    pub pixels: Array3<f32>,
    /// Such as `640x480 cropped to the centre 480x480 and resized to 64x64`, or `colours converted from `Display P3` to
    /// sRGB`; `None` when it fitted as it was.
    pub adapted: Option<String>,
}

/// Reads the images at `paths` as RGB of `size` x `size`, in the order of `paths` and by name within each.
///
/// It is [`ImageList::open`] and [`ImageList::read`] of all, which say what a path may be and what is done to an image.
///
/// # Errors
///
/// A path that does not exist or holds no image; a broken image, which the message names.
///
/// # Examples
///
/// ```
/// use imaging::{load_images, save_png};
/// use ndarray::Array3;
///
/// let folder = tempfile::tempdir()?;
/// save_png(&folder.path().join("grey.png"), &Array3::zeros((3, 48, 64)))?;
/// let images = load_images(&[folder.path().to_owned()], 32)?;
/// assert_eq!(images[0].pixels.dim(), (3, 32, 32));
/// // What was done to make it fit is said. Mid-grey is one of two bytes, half a level off.
/// assert!(images[0].adapted.as_ref().is_some_and(|note| note.contains("cropped")));
/// assert!(images[0].pixels.iter().all(|pixel| pixel.abs() < 1.0 / 255.0 + 1e-6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_images(paths: &[PathBuf], size: usize) -> Result<Vec<NamedImage>, ImageError> {
    let mut list = ImageList::open(paths)?;
    list.read(list.count(), size)
}

/// Reads one image from the bytes of a file, as [`ImageList::read_one`] does from the file itself.
///
/// - `name`: what the image, and an error, call the file
/// - returns RGB of `size` x `size`
///
/// # Errors
///
/// Bytes that are no image, or one that is too large once decoded; a size of 0 or above 1024.
///
/// # Examples
///
/// ```
/// let refused = imaging::decode_image(b"no image", "notes.txt", 64);
/// assert!(refused.is_err_and(|error| error.to_string().contains("notes.txt")));
/// ```
pub fn decode_image(bytes: &[u8], name: &str, size: usize) -> Result<NamedImage, ImageError> {
    check_image_size(size)?;
    let (rgb, adapted) = read_rgb(bytes, size, name)?;
    Ok(NamedImage {
        name: name.to_owned(),
        pixels: to_array(&rgb),
        adapted,
    })
}

pub(crate) fn check_image_size(size: usize) -> Result<(), ImageError> {
    if (1..=MAX_SIZE).contains(&size) {
        return Ok(());
    }
    Err(ImageError::Invalid {
        what: "the image size",
        expected: format!("1 to {MAX_SIZE} pixels"),
        found: size.to_string(),
    })
}
