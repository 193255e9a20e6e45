//! The images that lie at some paths: listed first, read as far as they are wanted.

use std::collections::HashMap;
use std::path::PathBuf;

use image::RgbImage;
use ndarray::Array3;

use crate::error::ImageError;
use crate::fit::read_rgb;
use crate::load::{NamedImage, check_image_size};
use crate::passed_over;
use crate::range::from_byte;
use crate::source::Source;

/// So many images of a user's are held as arrays at most; a data set has [`load_split`](crate::load_split).
const MAX_IMAGES: usize = 20_000;

/// The images at some paths, in the order of the paths and by name within each; none is read yet.
///
/// A path is an image file, a folder (read with all folders below it) or a zip file. In folders and archives other
/// files than images are passed over.
pub struct ImageList {
    sources: Vec<Source>,
    /// Of each image its source, its place in that, and what it is called.
    entries: Vec<(usize, usize, String)>,
}

impl ImageList {
    /// Lists the images.
    ///
    /// # Errors
    ///
    /// A path that does not exist or holds no image.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ImageError> {
        let mut sources = Vec::new();
        for path in paths {
            let source = Source::open(path)?;
            if source.len() == 0 {
                return Err(ImageError::NoImages {
                    path: path.clone(),
                    found: source.found(),
                });
            }
            sources.push(source);
        }
        let entries = entries(&sources);
        Ok(Self { sources, entries })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// How many files were passed over and of which kinds, such as `2 files passed over: .heic, .tif`.
    #[must_use]
    pub fn passed_over(&self) -> Option<String> {
        passed_over::describe(self.sources.iter().flat_map(Source::passed_over))
    }

    /// How many there are to read, where `count` are wanted: no more than there are.
    ///
    /// # Errors
    ///
    /// More images than fit in memory.
    pub fn wanted(&self, count: usize) -> Result<usize, ImageError> {
        let wanted = count.min(self.count());
        if wanted > MAX_IMAGES {
            let paths: Vec<String> = self.sources.iter().map(Source::called).collect();
            return Err(ImageError::TooLarge {
                what: paths.join(", "),
                found: format!("{wanted} images"),
                limit: format!("{MAX_IMAGES} images"),
            });
        }
        Ok(wanted)
    }

    /// Reads the first `count` of them (or all, if there are fewer), each as [`Self::read_one`].
    ///
    /// # Errors
    ///
    /// As [`Self::wanted`] and [`Self::read_one`].
    pub fn read(&mut self, count: usize, size: usize) -> Result<Vec<NamedImage>, ImageError> {
        let wanted = self.wanted(count)?;
        (0..wanted).map(|place| self.read_one(place, size)).collect()
    }

    /// Reads the image at `place`, from 0, as RGB of `size` x `size` pixels.
    ///
    /// A grey image, one with alpha (laid on white) or of 16 bits becomes 8-bit RGB; one of another size is cropped to
    /// its centre square and resized, colours of another profile are converted to sRGB, and [`NamedImage::adapted`]
    /// says so.
    ///
    /// # Errors
    ///
    /// A broken image, which the message names; a place beyond the last.
    pub fn read_one(&mut self, place: usize, size: usize) -> Result<NamedImage, ImageError> {
        check_image_size(size)?;
        let count = self.count();
        let Some((source, index, name)) = self.entries.get(place) else {
            return Err(ImageError::Invalid {
                what: "the image's place",
                expected: format!("below {count}, as many as there are"),
                found: place.to_string(),
            });
        };
        let source = &mut self.sources[*source];
        let bytes = source.read(*index)?;
        let (rgb, adapted) = read_rgb(&bytes, size, &source.label(*index))?;
        Ok(NamedImage {
            name: name.clone(),
            pixels: to_array(&rgb),
            adapted,
        })
    }
}

/// All images with their names. Two folders may both hold a `0000.png`: such images go by their whole path.
fn entries(sources: &[Source]) -> Vec<(usize, usize, String)> {
    let places = || (0..sources.len()).flat_map(|source| (0..sources[source].len()).map(move |index| (source, index)));
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for (source, index) in places() {
        *uses.entry(sources[source].name(index)).or_default() += 1;
    }
    let entry = |(source, index): (usize, usize)| {
        let name = sources[source].name(index);
        let is_used_twice = uses.get(name).is_some_and(|&n| n > 1);
        let name = if is_used_twice {
            sources[source].label(index)
        } else {
            name.to_owned()
        };
        (source, index, name)
    };
    places().map(entry).collect()
}

pub(crate) fn to_array(rgb: &RgbImage) -> Array3<f32> {
    let (width, height) = rgb.dimensions();
    Array3::from_shape_fn((3, height as usize, width as usize), |(c, y, x)| {
        from_byte(rgb.get_pixel(x as u32, y as u32)[c])
    })
}
