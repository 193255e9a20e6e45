//! Reading the parts of a data set.

use std::path::Path;

use ndarray::Array3;

use crate::error::ImageError;
use crate::fit::read_rgb;
use crate::load::check_image_size;
use crate::passed_over;
use crate::range::from_byte;
use crate::source::Source;

/// The images of one part of a data set, as bytes in one block: an eighth of the room of arrays, and quick to draw
/// batches from.
#[derive(Debug, Clone, Default)]
pub struct PixelSet {
    /// The path of each image inside the data set, such as `train/apple-11/0000.png`.
    pub names: Vec<String>,
    /// All images one after the other, each `[3, size, size]` (channel planes, then rows).
    pub pixels: Vec<u8>,
    /// The number of images.
    pub count: usize,
    /// How many this part of the data set has, read or not.
    pub available: usize,
    /// Height and width.
    pub size: usize,
    /// How many images were cropped, resized or converted to sRGB to fit.
    pub adapted: usize,
    /// What one of them was, such as `train/a/1.jpg: 640x480 resized to 64x64`.
    pub example: Option<String>,
    /// How many files of this part were passed over and of which kinds, such as `2 files passed over: .heic, .tif`.
    pub passed_over: Option<String>,
}

impl PixelSet {
    /// What should be said of it, one line each: how many images were made to fit, and what was passed over.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let adapted = self.example.as_ref().map(|example| {
            format!(
                "{} of {} images were made to fit, the first so: {example}",
                self.adapted, self.count
            )
        });
        adapted.into_iter().chain(self.passed_over.clone()).collect()
    }

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
/// name. `progress` is called with the number of images read so far and of all images. Folders that only wrap the data
/// set, as many archives have one, are looked through.
///
/// # Errors
///
/// As [`load_images`](crate::load_images); and a data set without such a part, whose message says what it holds
/// instead.
pub fn load_split(
    root: &Path,
    split: &str,
    size: usize,
    progress: impl FnMut(usize, usize),
) -> Result<PixelSet, ImageError> {
    load_split_some(root, split, size, |available| (0..available).collect(), progress)
}

/// As [`load_split`], but reads only some of the images: `choose` is given how many there are, and returns the places
/// of those that are wanted, each below that number.
///
/// # Errors
///
/// As [`load_split`].
pub fn load_split_some(
    root: &Path,
    split: &str,
    size: usize,
    choose: impl FnOnce(usize) -> Vec<usize>,
    mut progress: impl FnMut(usize, usize),
) -> Result<PixelSet, ImageError> {
    check_image_size(size)?;
    let mut source = Source::open(root)?;
    let wrapping = wrapping(&source, split);
    let prefix = format!("{wrapping}{split}/");
    let all: Vec<usize> = (0..source.len())
        .filter(|&index| source.name(index).starts_with(&prefix))
        .collect();
    if all.is_empty() {
        return Err(no_split(&source, root, split));
    }
    let chosen: Vec<usize> = choose(all.len())
        .into_iter()
        .filter_map(|place| all.get(place).copied())
        .collect();
    let mut set = PixelSet {
        names: Vec::with_capacity(chosen.len()),
        pixels: Vec::with_capacity(chosen.len() * 3 * size * size),
        count: chosen.len(),
        available: all.len(),
        size,
        adapted: 0,
        example: None,
        passed_over: passed_over::describe(source.passed_over().iter().filter(|name| name.starts_with(&prefix))),
    };
    for (done, &index) in chosen.iter().enumerate() {
        progress(done, chosen.len());
        let bytes = source.read(index)?;
        let (rgb, adapted) = read_rgb(&bytes, size, &source.label(index))?;
        for channel in 0..3 {
            set.pixels.extend(rgb.as_raw().iter().skip(channel).step_by(3));
        }
        let name = &source.name(index)[wrapping.len()..];
        if let Some(adapted) = adapted {
            set.adapted += 1;
            set.example.get_or_insert_with(|| format!("{name}: {adapted}"));
        }
        set.names.push(name.to_owned());
    }
    progress(chosen.len(), chosen.len());
    Ok(set)
}

/// The folders around a data set that hold nothing else: `fruits/` where all images lie below `fruits/train/` and
/// `fruits/test/`.
fn wrapping(source: &Source, split: &str) -> String {
    let mut wrapping = String::new();
    let part = format!("{split}/");
    let names = || (0..source.len()).map(|index| source.name(index));
    loop {
        let mut rest = names().map(|name| &name[wrapping.len()..]);
        if rest.clone().any(|name| name.starts_with(&part)) {
            return wrapping;
        }
        let Some((top, _)) = rest.next().and_then(|name| name.split_once('/')) else {
            return wrapping;
        };
        let top = format!("{top}/");
        if !rest.all(|name| name.starts_with(&top)) {
            return wrapping;
        }
        wrapping.push_str(&top);
    }
}

fn no_split(source: &Source, root: &Path, split: &str) -> ImageError {
    let mut found = source.found();
    if found == "nothing" && source.len() > 0 {
        found = format!("`{}`", source.name(0));
    }
    ImageError::NoSplit {
        path: root.to_owned(),
        split: split.to_owned(),
        found,
    }
}
