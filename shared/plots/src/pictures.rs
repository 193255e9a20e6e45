//! Figures made of pictures: rows with captions, grids, and a sampler's path.

use ndarray::{ArrayRef3, ArrayView3};

use crate::canvas::{Anchor, Canvas, Text, text_width, use_font};
use crate::error::PlotError;
use crate::figure::Figure;

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
///
/// No pictures; pictures of different shapes or with a NaN; rows longer than the titles.
pub fn image_rows(rows: &[Row<'_>], column_titles: &[&str]) -> Result<Figure, PlotError> {
    use_font()?;
    let layout = Layout::new(rows, column_titles)?;
    let (width, height) = layout.picture;
    let mut canvas = Canvas::new(layout.figure.0, layout.figure.1)?;
    let title = |(&middle, title): (&usize, &&str)| Text::ink(title, (middle, MARGIN), TITLE, Anchor::Top);
    let mut texts: Vec<Text> = layout.middles.iter().zip(column_titles).map(title).collect();
    for (row, &top) in rows.iter().zip(&layout.tops) {
        let at = (layout.left - GAP, top + height / 2);
        texts.push(Text::ink(&row.label, at, TITLE, Anchor::Right));
        for (cell, &middle) in row.cells.iter().zip(&layout.middles) {
            canvas.picture(&cell.image, (middle - width / 2, top), layout.scale);
            let at = (middle, top + height + 9);
            texts.push(Text::grey(&cell.caption, at, CAPTION, Anchor::Top));
        }
    }
    texts.retain(|text| !text.text.is_empty());
    canvas.write(&texts)?;
    Ok(canvas.finish())
}

/// Where everything stands in a figure of rows, in pixels.
struct Layout {
    /// By what whole number pictures are enlarged.
    scale: usize,
    /// Width and height of a picture, enlarged.
    picture: (usize, usize),
    /// The left edge of the first column.
    left: usize,
    /// The middle of each column.
    middles: Vec<usize>,
    /// The upper edge of each row's pictures.
    tops: Vec<usize>,
    /// Width and height of the figure.
    figure: (usize, usize),
}

impl Layout {
    fn new(rows: &[Row<'_>], column_titles: &[&str]) -> Result<Self, PlotError> {
        let (height, width) = common_shape(rows.iter().flat_map(|row| row.cells.iter().map(|cell| &*cell.image)))?;
        let widest_row = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let scale = enlargement(height, width, widest_row);
        let (height, width) = (height * scale, width * scale);

        let labels = widest(rows.iter().map(|row| row.label.as_str()), TITLE)?;
        let left = MARGIN + if labels > 0 { labels + GAP } else { 0 };
        let (mut x, mut middles) = (left, Vec::new());
        for wide in column_widths(rows, column_titles, widest_row)? {
            let wide = wide.max(width);
            middles.push(x + wide / 2);
            x += wide + GAP;
        }

        let mut y = MARGIN + if column_titles.is_empty() { 0 } else { LINE + 4 };
        let mut tops = Vec::new();
        for row in rows {
            tops.push(y);
            let captions = row.cells.iter().any(|cell| !cell.caption.is_empty());
            y += height + if captions { LINE + 5 } else { 0 } + GAP;
        }
        Ok(Self {
            scale,
            picture: (width, height),
            left,
            middles,
            tops,
            figure: (x - GAP + MARGIN, y - GAP + MARGIN),
        })
    }
}

/// The width that the title and the captions of each column need.
fn column_widths(rows: &[Row<'_>], titles: &[&str], columns: usize) -> Result<Vec<usize>, PlotError> {
    if !titles.is_empty() && titles.len() < columns {
        return Err(PlotError::Mismatch {
            what: "the columns' titles".into(),
            expected: format!("{columns}, one for each column"),
            found: titles.len().to_string(),
        });
    }
    let width = |column: usize| {
        let captions = rows.iter().filter_map(|row| row.cells.get(column));
        let captions = widest(captions.map(|cell| cell.caption.as_str()), CAPTION)?;
        Ok(captions.max(widest(titles.get(column).copied(), TITLE)?))
    };
    (0..columns).map(width).collect()
}

/// The width of the widest of some texts.
fn widest<'t>(texts: impl IntoIterator<Item = &'t str>, size: usize) -> Result<usize, PlotError> {
    let mut widths = texts.into_iter().map(|text| text_width(text, size));
    widths.try_fold(0, |most, width| Ok(most.max(width?)))
}

/// Images of one shape side by side, `columns` in a row.
///
/// # Errors
///
/// No images or no columns; images of different shapes or with a NaN.
pub fn image_grid(images: &[ArrayView3<'_, f32>], columns: usize) -> Result<Figure, PlotError> {
    let (height, width) = common_shape(images.iter().map(|image| &**image))?;
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
///
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
fn common_shape<'v>(mut images: impl Iterator<Item = &'v ArrayRef3<f32>>) -> Result<(usize, usize), PlotError> {
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
