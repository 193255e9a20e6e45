//! Writing images, and putting several of them into one.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use ndarray::{Array3, Array4, ArrayRef3, ArrayView3, Axis, s};

use crate::error::ImageError;
use crate::range::to_byte;

/// Writes an image `[3, H, W]` or `[1, H, W]` in [-1, 1] as an 8-bit PNG, whole or not at all. Folders that lack on the
/// way are made.
///
/// # Errors
///
/// An image of another shape or with a NaN in it; a path that cannot be written to.
pub fn save_png(path: &Path, image: &ArrayRef3<f32>) -> Result<(), ImageError> {
    let (channels, height, width) = image.dim();
    let fits = |n: usize| (1..=65_535).contains(&n);
    if !matches!(channels, 1 | 3) || !fits(height) || !fits(width) {
        return Err(ImageError::Invalid {
            what: "the image to write",
            expected: "the shape [3, H, W] or [1, H, W]".into(),
            found: format!("{:?}", image.shape()),
        });
    }
    if let Some(((c, y, x), _)) = image.indexed_iter().find(|(_, value)| value.is_nan()) {
        return Err(ImageError::Invalid {
            what: "the image to write",
            expected: "numbers".into(),
            found: format!("NaN at [{c}, {y}, {x}], not writing `{}`", path.display()),
        });
    }
    let rgb = RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let byte = |c: usize| to_byte(image[[c.min(channels - 1), y as usize, x as usize]]);
        image::Rgb([byte(0), byte(1), byte(2)])
    });
    let io = |action, path: &Path, source| ImageError::Io {
        action,
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| io("make the folder", folder, source))?;
    }
    let mut png = Cursor::new(Vec::new());
    let written = rgb.write_to(&mut png, ImageFormat::Png).map_err(std::io::Error::other);
    written
        .and_then(|()| files::write_whole(path, png.get_ref()))
        .map_err(|source| io("write", path, source))
}

/// Lays images `[C, H, W]` of one shape out in rows of `columns`, with `gap` white pixels between them.
///
/// # Errors
///
/// No images, images of different shapes, or no columns.
pub fn grid(images: &[ArrayView3<'_, f32>], columns: usize, gap: usize) -> Result<Array3<f32>, ImageError> {
    let (channels, height, width) = same_shape(images.iter().map(ArrayView3::dim))?;
    if columns == 0 {
        return Err(ImageError::Invalid {
            what: "the grid's columns",
            expected: "1 or more".into(),
            found: "0".into(),
        });
    }
    let columns = columns.min(images.len());
    let rows = images.len().div_ceil(columns);
    let mut all = Array3::from_elem(
        (channels, rows * (height + gap) - gap, columns * (width + gap) - gap),
        1.0,
    );
    for (index, image) in images.iter().enumerate() {
        let (y, x) = (index / columns * (height + gap), index % columns * (width + gap));
        all.slice_mut(s![.., y..y + height, x..x + width]).assign(image);
    }
    Ok(all)
}

/// Puts images `[C, H, W]` of one shape into one batch `[B, C, H, W]`.
///
/// # Errors
///
/// No images, or images of different shapes.
pub fn stack(images: &[ArrayView3<'_, f32>]) -> Result<Array4<f32>, ImageError> {
    let (channels, height, width) = same_shape(images.iter().map(ArrayView3::dim))?;
    let mut batch = Array4::zeros((images.len(), channels, height, width));
    for (mut slot, image) in batch.axis_iter_mut(Axis(0)).zip(images) {
        slot.assign(image);
    }
    Ok(batch)
}

type Shape = (usize, usize, usize);

fn same_shape(mut shapes: impl Iterator<Item = Shape>) -> Result<Shape, ImageError> {
    let what = "the images to put together";
    let Some(first) = shapes.next() else {
        return Err(ImageError::Invalid {
            what,
            expected: "at least one".into(),
            found: "none".into(),
        });
    };
    match shapes.find(|shape| *shape != first) {
        None => Ok(first),
        Some(other) => Err(ImageError::Invalid {
            what,
            expected: format!("one shape, {first:?} as the first has"),
            found: format!("{other:?} among them"),
        }),
    }
}
