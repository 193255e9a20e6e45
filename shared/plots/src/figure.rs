//! A finished figure.

use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::error::PlotError;

/// A finished figure: RGB bytes, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Figure {
    /// The figure as a PNG file's bytes, for a notebook to display.
    ///
    /// # Errors
    ///
    /// `rgb` that does not hold `width` x `height` pixels.
    pub fn png_bytes(&self) -> Result<Vec<u8>, PlotError> {
        let expected = 3 * self.width as usize * self.height as usize;
        if self.rgb.len() != expected {
            return Err(PlotError::Mismatch {
                what: "the figure's bytes".into(),
                expected: format!("{expected} for {}x{} pixels", self.width, self.height),
                found: self.rgb.len().to_string(),
            });
        }
        let mut bytes = Cursor::new(Vec::new());
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|error| PlotError::Draw(error.to_string()))?;
        Ok(bytes.into_inner())
    }

    /// Writes the figure as a PNG, whole or not at all. Folders that lack on the way are made.
    ///
    /// # Errors
    ///
    /// A path that cannot be written to.
    pub fn save(&self, path: &Path) -> Result<(), PlotError> {
        let bytes = self.png_bytes()?;
        let write = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            files::write_whole(path, &bytes)
        };
        write().map_err(|source| PlotError::Write {
            path: path.to_owned(),
            source,
        })
    }
}
