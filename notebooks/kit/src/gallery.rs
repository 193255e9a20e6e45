//! Images in rows, with titles and captions.

use anyhow::{Context, Result};
use ndarray::{Array3, ArrayRef4, Axis};
use plots::{Cell, Row, image_rows};

use crate::show::show;

/// An image `[C, H, W]` and what stands under it.
type Captioned = (Array3<f32>, String);

/// A figure of images in rows: titles above the columns, a label at the left of each row, a caption under each image.
#[derive(Debug, Clone)]
pub struct Gallery {
    titles: Vec<String>,
    rows: Vec<(String, Vec<Captioned>)>,
}

impl Gallery {
    /// With these titles above the columns; none for a gallery without titles.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        Self {
            titles: titles.iter().map(|&title| title.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Begins a row.
    pub fn row(&mut self, label: &str) {
        self.rows.push((label.to_owned(), Vec::new()));
    }

    /// Puts the first image of a batch `[B, C, H, W]`, in [-1, 1], at the end of the last row.
    ///
    /// # Errors
    ///
    /// If the batch is empty.
    pub fn add(&mut self, batch: &ArrayRef4<f32>, caption: &str) -> Result<()> {
        let image = batch
            .axis_iter(Axis(0))
            .next()
            .context("a batch without images has none to show")?;
        if self.rows.is_empty() {
            self.row("");
        }
        if let Some((_, cells)) = self.rows.last_mut() {
            cells.push((image.to_owned(), caption.to_owned()));
        }
        Ok(())
    }

    /// Shows it as the cell's picture.
    ///
    /// # Errors
    ///
    /// No images, images of different sizes or with a NaN, more columns than titles.
    pub fn show(&self) -> Result<()> {
        let rows: Vec<Row<'_>> = self.rows.iter().map(|(label, cells)| row(label, cells)).collect();
        let titles: Vec<&str> = self.titles.iter().map(String::as_str).collect();
        show(&image_rows(&rows, &titles)?)
    }
}

fn row<'a>(label: &str, cells: &'a [Captioned]) -> Row<'a> {
    let cell = |(image, caption): &'a Captioned| Cell {
        image: image.view(),
        caption: caption.clone(),
    };
    Row {
        label: label.to_owned(),
        cells: cells.iter().map(cell).collect(),
    }
}
