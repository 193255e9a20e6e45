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
        Ok(Self { sources })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sources.iter().map(Source::len).sum()
    }

    /// How many files were passed over and of which kinds, such as `2 files passed over: .heic, .tif`.
    #[must_use]
    pub fn passed_over(&self) -> Option<String> {
        passed_over::describe(self.sources.iter().flat_map(Source::passed_over))
    }

    /// Reads the first `count` of them (or all, if there are fewer) as RGB of `size` x `size` pixels.
    ///
    /// Grey images, images with alpha (laid on white) and of 16 bits become 8-bit RGB; an image of another size is
    /// cropped to its centre square and resized, colours of another profile are converted to sRGB, and
    /// [`NamedImage::adapted`] says so.
    ///
    /// # Errors
    ///
    /// A broken image, which the message names; more images than fit in memory.
    pub fn read(&mut self, count: usize, size: usize) -> Result<Vec<NamedImage>, ImageError> {
        check_image_size(size)?;
        let wanted = count.min(self.count());
        if wanted > MAX_IMAGES {
            let paths: Vec<String> = self.sources.iter().map(Source::called).collect();
            return Err(ImageError::TooLarge {
                what: paths.join(", "),
                found: format!("{wanted} images"),
                limit: format!("{MAX_IMAGES} images"),
            });
        }
        let names = self.names();
        let mut images = Vec::with_capacity(wanted);
        for source in &mut self.sources {
            for index in 0..source.len().min(wanted - images.len()) {
                let bytes = source.read(index)?;
                let (rgb, adapted) = read_rgb(&bytes, size, &source.label(index))?;
                images.push(NamedImage {
                    name: names[images.len()].clone(),
                    pixels: to_array(&rgb),
                    adapted,
                });
            }
        }
        Ok(images)
    }

    /// What all images are called. Two folders may both hold a `0000.png`: such images go by their whole path.
    fn names(&self) -> Vec<String> {
        let all = || {
            let of_one = |source| (0..Source::len(source)).map(move |index| (source, index));
            self.sources.iter().flat_map(of_one)
        };
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for (source, index) in all() {
            *uses.entry(source.name(index)).or_default() += 1;
        }
        let name = |(source, index): (&Source, usize)| match uses.get(source.name(index)) {
            Some(&n) if n > 1 => source.label(index),
            _ => source.name(index).to_owned(),
        };
        all().map(name).collect()
    }
}

fn to_array(rgb: &RgbImage) -> Array3<f32> {
    let (width, height) = rgb.dimensions();
    Array3::from_shape_fn((3, height as usize, width as usize), |(c, y, x)| {
        from_byte(rgb.get_pixel(x as u32, y as u32)[c])
    })
}
