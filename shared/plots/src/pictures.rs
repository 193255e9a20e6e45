//! Figures made of pictures: rows with captions, grids, and a sampler's path.

use ndarray::ArrayView3;

use crate::canvas::{Anchor, Canvas, GREY, INK, Text, text_width, use_font};
use crate::{Figure, PlotError};

const TITLE: usize = 18;
const CAPTION: usize = 17;
const LINE: usize = 22;
const GAP: usize = 12;
const MARGIN: usize = 14;

/// One picture of a [`Row`].
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// `[3, H, W]` or `[1, H, W]` in [-1, 1].
    pub image: ArrayView3<'a, f32>,
    /// What stands under it, such as `31.2 dB / 0.93`; may be empty.
    pub caption: String,
}

/// One row of [`image_rows`].
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// What stands at its left, such as `t = 30`; may be empty.
    pub label: String,
    /// Its pictures, from the left.
    pub cells: Vec<Cell<'a>>,
}

/// One moment of a sampler's path, for [`strip`].
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// The time.
    pub t: usize,
    /// The noisy image.
    pub x_t: ArrayView3<'a, f32>,
    /// The clean image expected behind it.
    pub x0_hat: ArrayView3<'a, f32>,
}

/// The result figure: pictures in rows and columns, a title above each column, a label at the left of each row, a
/// caption under each picture. A row may hold fewer pictures than there are columns.
///
/// # Errors
/// No pictures; pictures of different shapes or with a NaN; rows longer than the titles.
pub fn image_rows(rows: &[Row<'_>], column_titles: &[&str]) -> Result<Figure, PlotError> {
    use_font()?;
    let (height, width) = common_shape(rows.iter().flat_map(|row| row.cells.iter().map(|cell| &cell.image)))?;
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    if !column_titles.is_empty() && column_titles.len() < columns {
        return Err(PlotError::Mismatch {
            what: "the columns' titles".into(),
            expected: format!("{columns}, one for each column"),
            found: column_titles.len().to_string(),
        });
    }
    let scale = enlargement(height, width, columns);
    let (height, width) = (height * scale, width * scale);
    // Each column is as wide as its widest picture, title or caption.
    let mut widths = vec![width; columns];
    for (column, wide) in widths.iter_mut().enumerate() {
        if let Some(title) = column_titles.get(column) {
            *wide = (*wide).max(text_width(title, TITLE)?);
        }
        for cell in rows.iter().filter_map(|row| row.cells.get(column)) {
            *wide = (*wide).max(text_width(&cell.caption, CAPTION)?);
        }
    }
    let mut label_width = 0;
    for row in rows {
        label_width = label_width.max(text_width(&row.label, TITLE)?);
    }
    let left = MARGIN + label_width + if label_width > 0 { GAP } else { 0 };
    let top = MARGIN + if column_titles.is_empty() { 0 } else { LINE + 4 };
    let below = |row: &Row<'_>| {
        if row.cells.iter().all(|cell| cell.caption.is_empty()) {
            0
        } else {
            LINE + 5
        }
    };
    let total_width = left + widths.iter().sum::<usize>() + GAP * (columns - 1) + MARGIN;
    let total_height =
        top + rows.iter().map(|row| height + below(row)).sum::<usize>() + GAP * (rows.len() - 1) + MARGIN;

    let mut canvas = Canvas::new(total_width, total_height)?;
    let mut texts = Vec::new();
    let mut y = top;
    for (index, row) in rows.iter().enumerate() {
        let label = row.label.clone();
        let at = (left - GAP, y + height / 2);
        texts.push(Text {
            text: label,
            at,
            size: TITLE,
            colour: INK,
            anchor: Anchor::Right,
        });
        let mut x = left;
        for (column, wide) in widths.iter().enumerate() {
            let middle = x + wide / 2;
            if let Some(cell) = row.cells.get(column) {
                canvas.picture(&cell.image, (middle - width / 2, y), scale);
                let (text, at) = (cell.caption.clone(), (middle, y + height + 9));
                texts.push(Text {
                    text,
                    at,
                    size: CAPTION,
                    colour: GREY,
                    anchor: Anchor::Top,
                });
            }
            if let (0, Some(title)) = (index, column_titles.get(column)) {
                let (text, at) = ((*title).to_owned(), (middle, MARGIN));
                texts.push(Text {
                    text,
                    at,
                    size: TITLE,
                    colour: INK,
                    anchor: Anchor::Top,
                });
            }
            x += wide + GAP;
        }
        y += height + below(row) + GAP;
    }
    texts.retain(|text| !text.text.is_empty());
    canvas.write(&texts)?;
    Ok(canvas.finish())
}

/// Images of one shape side by side, `columns` in a row.
///
/// # Errors
/// No images or no columns; images of different shapes or with a NaN.
pub fn image_grid(images: &[ArrayView3<'_, f32>], columns: usize) -> Result<Figure, PlotError> {
    let (height, width) = common_shape(images.iter())?;
    if columns == 0 {
        return Err(PlotError::Empty("a grid of no columns"));
    }
    let columns = columns.min(images.len());
    let rows = images.len().div_ceil(columns);
    let scale = enlargement(height, width, columns);
    let (height, width, gap) = (height * scale, width * scale, GAP / 2);
    let mut canvas = Canvas::new(columns * (width + gap) + gap, rows * (height + gap) + gap)?;
    for (index, image) in images.iter().enumerate() {
        let at = (
            gap + index % columns * (width + gap),
            gap + index / columns * (height + gap),
        );
        canvas.picture(image, at, scale);
    }
    Ok(canvas.finish())
}

/// A sampler's path from noise to image: for each moment its `t`, the noisy image `x_t`, and under it the clean image
/// that the model expected behind it.
///
/// # Errors
/// No frames; images of different shapes or with a NaN.
pub fn strip(frames: &[Frame<'_>]) -> Result<Figure, PlotError> {
    let cell = |image| Cell {
        image,
        caption: String::new(),
    };
    let noisy = frames.iter().map(|frame| cell(frame.x_t)).collect();
    let clean = frames.iter().map(|frame| cell(frame.x0_hat)).collect();
    let rows = [
        Row {
            label: "x_t".into(),
            cells: noisy,
        },
        Row {
            label: "x0hat".into(),
            cells: clean,
        },
    ];
    let titles: Vec<String> = frames.iter().map(|frame| format!("t = {}", frame.t)).collect();
    image_rows(&rows, &titles.iter().map(String::as_str).collect::<Vec<_>>())
}

/// By what whole number a picture is enlarged: small ones to about 192 pixels, or 128 where many stand side by side.
fn enlargement(height: usize, width: usize, columns: usize) -> usize {
    let target = if columns <= 5 { 192 } else { 128 };
    (target / height.max(width)).max(1)
}

/// Height and width that all pictures share.
fn common_shape<'v, 'a: 'v>(
    mut images: impl Iterator<Item = &'v ArrayView3<'a, f32>>,
) -> Result<(usize, usize), PlotError> {
    let Some(first) = images.next() else {
        return Err(PlotError::Empty("no images were given"));
    };
    let (_, height, width) = first.dim();
    for image in std::iter::once(first).chain(images) {
        let (c, h, w) = image.dim();
        if (h, w) != (height, width) || !matches!(c, 1 | 3) || image.is_empty() {
            return Err(PlotError::Mismatch {
                what: "an image's shape".into(),
                expected: format!("[3, {height}, {width}] or [1, {height}, {width}], as the first has"),
                found: format!("{:?}", image.shape()),
            });
        }
        if image.iter().any(|value| value.is_nan()) {
            return Err(PlotError::Mismatch {
                what: "an image's pixels".into(),
                expected: "numbers".into(),
                found: "a NaN".into(),
            });
        }
    }
    Ok((height, width))
}
