//! Reading images: a user's own, and the parts of a data set.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use ndarray::Array3;

use crate::decode::decode;
use crate::error::ImageError;
use crate::range::from_byte;
use crate::source::Source;

/// So many images of a user's are held as arrays at most; a data set has [`load_split`].
const MAX_IMAGES: usize = 20_000;
const MAX_SIZE: usize = 1024;

/// One image, the name it goes by in figures and reports, and what was done to make it fit.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The file's name, or its path inside the folder or archive that was named.
    pub name: String,
    /// `[3, size, size]`, in [-1, 1].
    pub pixels: Array3<f32>,
    /// Such as `640x480 cropped to the centre 480x480 and resized to 64x64`; `None` when it fitted as it was.
    pub adapted: Option<String>,
}

/// Reads the images at `paths` as RGB of `size` x `size`, in the order of `paths` and by name within each.
///
/// A path is an image file, a folder (read with all folders below it) or a zip file. In folders and archives other
/// files than images are passed over. Grey images, images with alpha (laid on white) and of 16 bits become 8-bit RGB;
/// an image of another size is cropped to its centre square and resized, and [`NamedImage::adapted`] says so.
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
    check_image_size(size)?;
    let mut images = Vec::new();
    let mut origins = Vec::new();
    for path in paths {
        let mut source = Source::open(path)?;
        if source.len() == 0 {
            return Err(ImageError::NoImages {
                path: path.clone(),
                found: source.found(),
            });
        }
        if images.len() + source.len() > MAX_IMAGES {
            return Err(ImageError::TooLarge {
                what: path.display().to_string(),
                found: format!("{} images", images.len() + source.len()),
                limit: format!("{MAX_IMAGES} images"),
            });
        }
        for index in 0..source.len() {
            let bytes = source.read(index)?;
            let (rgb, adapted) = decode(&bytes, size, &source.label(index))?;
            images.push(NamedImage {
                name: source.name(index).to_owned(),
                pixels: to_array(&rgb),
                adapted,
            });
            origins.push(source.label(index));
        }
    }
    name_apart(&mut images, origins);
    Ok(images)
}

/// Two folders may both hold a `0000.png`: such images go by their whole path.
fn name_apart(images: &mut [NamedImage], origins: Vec<String>) {
    let mut count: HashMap<String, usize> = HashMap::new();
    for image in images.iter() {
        *count.entry(image.name.clone()).or_default() += 1;
    }
    for (image, origin) in images.iter_mut().zip(origins) {
        if count.get(&image.name).is_some_and(|&n| n > 1) {
            image.name = origin;
        }
    }
}

/// The images of one part of a data set, as bytes in one block: an eighth of the room of arrays, and quick to draw
/// batches from.
#[derive(Debug, Clone)]
pub struct PixelSet {
    /// The path of each image inside the data set, such as `train/apple-11/0000.png`.
    pub names: Vec<String>,
    /// All images one after the other, each `[3, size, size]` (channel planes, then rows).
    pub pixels: Vec<u8>,
    /// The number of images.
    pub count: usize,
    /// Height and width.
    pub size: usize,
    /// How many images were cropped or resized to fit.
    pub adapted: usize,
}

impl PixelSet {
    /// The bytes of image `index`, `[3, size, size]`.
    ///
    /// # Panics
    ///
    /// Where `index >= self.count`, as indexing a slice does.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let length = 3 * self.size * self.size;
        &self.pixels[index * length..(index + 1) * length]
    }

    /// Image `index` as an array `[3, size, size]` in [-1, 1].
    ///
    /// # Panics
    ///
    /// Where `index >= self.count`, as indexing a slice does.
    #[must_use]
    pub fn array(&self, index: usize) -> Array3<f32> {
        let bytes = self.image(index);
        let size = self.size;
        Array3::from_shape_fn((3, size, size), |(c, y, x)| from_byte(bytes[(c * size + y) * size + x]))
    }
}

/// Reads all images below `split/` (`train` or `test`) of the data set at `root`, a folder or a zip file, sorted by
/// name. `progress` is called with the number of images read so far and of all images.
///
/// # Errors
///
/// As [`load_images`]; and a data set without such a part, whose message says what it holds instead.
pub fn load_split(
    root: &Path,
    split: &str,
    size: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<PixelSet, ImageError> {
    check_image_size(size)?;
    let mut source = Source::open(root)?;
    let prefix = format!("{split}/");
    let chosen: Vec<usize> = (0..source.len())
        .filter(|&index| source.name(index).starts_with(&prefix))
        .collect();
    if chosen.is_empty() {
        let mut found = source.found();
        if found == "nothing" && source.len() > 0 {
            found = format!("`{}`", source.name(0));
        }
        return Err(ImageError::NoSplit {
            path: root.to_owned(),
            split: split.to_owned(),
            found,
        });
    }
    let mut set = PixelSet {
        names: Vec::with_capacity(chosen.len()),
        pixels: Vec::with_capacity(chosen.len() * 3 * size * size),
        count: chosen.len(),
        size,
        adapted: 0,
    };
    for (done, &index) in chosen.iter().enumerate() {
        progress(done, chosen.len());
        let bytes = source.read(index)?;
        let (rgb, adapted) = decode(&bytes, size, &source.label(index))?;
        for channel in 0..3 {
            set.pixels.extend(rgb.as_raw().iter().skip(channel).step_by(3));
        }
        set.adapted += usize::from(adapted.is_some());
        set.names.push(source.name(index).to_owned());
    }
    progress(chosen.len(), chosen.len());
    Ok(set)
}

fn check_image_size(size: usize) -> Result<(), ImageError> {
    if (1..=MAX_SIZE).contains(&size) {
        return Ok(());
    }
    Err(ImageError::Invalid {
        what: "the image size",
        expected: format!("1 to {MAX_SIZE} pixels"),
        found: size.to_string(),
    })
}

fn to_array(rgb: &RgbImage) -> Array3<f32> {
    let (width, height) = rgb.dimensions();
    Array3::from_shape_fn((3, height as usize, width as usize), |(c, y, x)| {
        from_byte(rgb.get_pixel(x as u32, y as u32)[c])
    })
}
