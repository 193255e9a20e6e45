//! Pixels to draw on: white paper, text in the embedded font, and pictures enlarged by whole numbers.

use imaging::to_byte;
use ndarray::ArrayRef3;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::PlotError;
use crate::figure::Figure;
use crate::text::shown;

/// The name that the embedded font goes by.
pub(crate) const FONT: &str = "figure";
/// Everything is drawn this many times larger and then averaged down: smooth lines, and letters evenly spaced.
pub(crate) const FINE: usize = 3;
/// Nobody looks at a figure with more pixels than this.
const MAX_PIXELS: usize = 24_000_000;

/// The plotting library's view of a canvas, or of a part of it.
pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// Axes on an [`Area`], and what is drawn over them.
pub(crate) type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(crate) const INK: RGBColor = RGBColor(0, 0, 0);
pub(crate) const GREY: RGBColor = RGBColor(55, 55, 55);

/// Makes the embedded font known to the plotting library. Every figure does so first: in a notebook each cell may come
/// from a freshly loaded library.
pub(crate) fn use_font() -> Result<(), PlotError> {
    for style in [FontStyle::Normal, FontStyle::Bold] {
        register_font(FONT, style, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| PlotError::Draw("the embedded font cannot be read".into()))?;
    }
    Ok(())
}

/// A length of the figure as the plotting library takes it.
pub(crate) fn fine(length: usize) -> u32 {
    (length * FINE) as u32
}

/// Anything that the plotting library complains of, as our error.
pub(crate) fn draw_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

/// Where a text stands relative to the point it is drawn at.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    /// The point is the middle of its upper edge.
    Top,
    /// The point is the middle of its right edge.
    Right,
    /// The point is the middle of its left edge.
    Left,
}

/// One text to draw.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) at: (usize, usize),
    pub(crate) size: usize,
    pub(crate) colour: RGBColor,
    pub(crate) anchor: Anchor,
}

impl Text {
    /// A text in black.
    pub(crate) fn ink(text: &str, at: (usize, usize), size: usize, anchor: Anchor) -> Self {
        Self {
            text: text.to_owned(),
            at,
            size,
            colour: INK,
            anchor,
        }
    }

    /// A text in grey, of less weight.
    pub(crate) fn grey(text: &str, at: (usize, usize), size: usize, anchor: Anchor) -> Self {
        Self {
            colour: GREY,
            ..Self::ink(text, at, size, anchor)
        }
    }
}

pub(crate) struct Canvas {
    /// Both `FINE` times those of the figure.
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Result<Self, PlotError> {
        if width.saturating_mul(height) > MAX_PIXELS {
            return Err(PlotError::TooLarge {
                width,
                height,
                limit: MAX_PIXELS,
            });
        }
        let (width, height) = (width * FINE, height * FINE);
        Ok(Self {
            width,
            height,
            rgb: vec![255; 3 * width * height],
        })
    }

    /// Draws with the plotting library on the whole canvas, where every length is `FINE` times the figure's.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&Area<'_>) -> Result<(), PlotError>) -> Result<(), PlotError> {
        let size = (self.width as u32, self.height as u32);
        let area = BitMapBackend::with_buffer(&mut self.rgb, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(draw_error)
    }

    pub(crate) fn write(&mut self, texts: &[Text]) -> Result<(), PlotError> {
        self.draw(|area| {
            for text in texts {
                let (x, y) = ((text.at.0 * FINE) as i32, (text.at.1 * FINE) as i32);
                let position = match text.anchor {
                    Anchor::Top => Pos::new(HPos::Center, VPos::Top),
                    Anchor::Right => Pos::new(HPos::Right, VPos::Center),
                    Anchor::Left => Pos::new(HPos::Left, VPos::Center),
                };
                let style = (FONT, (text.size * FINE) as i32)
                    .into_font()
                    .color(&text.colour)
                    .pos(position);
                area.draw_text(&shown(&text.text), &style, (x, y)).map_err(draw_error)?;
            }
            Ok(())
        })
    }

    /// Puts an image `[3, H, W]` or `[1, H, W]` with its upper left corner at `at`, each pixel `scale` x `scale`.
    pub(crate) fn picture(&mut self, image: &ArrayRef3<f32>, at: (usize, usize), scale: usize) {
        let (channels, height, width) = image.dim();
        let (left, top, scale) = (at.0 * FINE, at.1 * FINE, scale * FINE);
        for y in 0..height * scale {
            let start = 3 * ((top + y) * self.width + left);
            let row = &mut self.rgb[start..start + 3 * width * scale];
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                for (channel, byte) in pixel.iter_mut().enumerate() {
                    *byte = to_byte(image[[channel.min(channels - 1), y / scale, x / scale]]);
                }
            }
        }
    }

    /// The figure: each pixel the average of `FINE` x `FINE`.
    pub(crate) fn finish(self) -> Figure {
        let (width, height) = (self.width / FINE, self.height / FINE);
        let mut rgb = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                for channel in 0..3 {
                    let byte =
                        |dy: usize, dx: usize| self.rgb[3 * ((y * FINE + dy) * self.width + x * FINE + dx) + channel];
                    let sum: usize = (0..FINE * FINE).map(|i| usize::from(byte(i / FINE, i % FINE))).sum();
                    rgb.push(((sum + FINE * FINE / 2) / (FINE * FINE)) as u8);
                }
            }
        }
        Figure {
            width: width as u32,
            height: height as u32,
            rgb,
        }
    }
}

/// The width in pixels that a text will take.
pub(crate) fn text_width(text: &str, size: usize) -> Result<usize, PlotError> {
    let (width, _) = (FONT, (size * FINE) as i32)
        .into_font()
        .box_size(&shown(text))
        .map_err(draw_error)?;
    Ok((width as usize).div_ceil(FINE))
}
