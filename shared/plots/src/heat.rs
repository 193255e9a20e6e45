//! Numbers as colours.

use imaging::from_byte;
use ndarray::{Array3, ArrayRef2, ArrayView2};
use plotters::style::RGBColor;
use plotters::style::colors::colormaps::ViridisRGB;

use crate::axis::tick;
use crate::canvas::{Anchor, Canvas, Text, text_width, use_font};
use crate::error::PlotError;
use crate::figure::Figure;

const TITLE: usize = 18;
const TICK: usize = 16;
const GAP: usize = 14;
const MARGIN: usize = 14;
/// Maps are enlarged to about so many pixels.
const TARGET: usize = 256;
const BAR_WIDTH: usize = 18;
/// The bar is labelled at 0, at the top, and at so many places less one between them.
const INTERVALS: usize = 5;

/// One map of [`heat_maps`].
#[derive(Debug, Clone)]
pub struct HeatMap<'a> {
    /// What stands above it.
    pub title: String,
    /// `[H, W]`, 0 or more.
    pub values: ArrayView2<'a, f32>,
}

/// Maps of one shape side by side, from dark (0) to bright (`top`, and all above it) in a colour map whose brightness
/// grows evenly (viridis), with a bar that says what the colours mean.
///
/// # Errors
///
/// No maps; maps of different shapes, without pixels, or with numbers that are not finite or below 0; a `top` that is
/// not above 0.
pub fn heat_maps(maps: &[HeatMap<'_>], top: f32, unit: &str) -> Result<Figure, PlotError> {
    use_font()?;
    let (height, width) = common_shape(maps)?;
    if !(top > 0.0 && top.is_finite()) {
        return Err(PlotError::Mismatch {
            what: "the number at the top of the colour bar".into(),
            expected: "a number above 0".into(),
            found: top.to_string(),
        });
    }
    let scale = (TARGET / height.max(width)).max(1);
    let mut column = width * scale;
    for map in maps {
        column = column.max(text_width(&map.title, TITLE)?);
    }
    let upper = MARGIN + TITLE + 8;
    let bar_left = MARGIN + maps.len() * (column + GAP) + GAP;
    let figure_width = bar_left + BAR_WIDTH + 8 + bar_text_width(top, unit)? + MARGIN;
    let mut canvas = Canvas::new(figure_width, upper + height * scale + MARGIN)?;
    let mut texts = Vec::new();
    for (index, map) in maps.iter().enumerate() {
        let middle = MARGIN + index * (column + GAP) + column / 2;
        canvas.picture(&coloured(&map.values, top), (middle - width * scale / 2, upper), scale);
        texts.push(Text::ink(&map.title, (middle, MARGIN), TITLE, Anchor::Top));
    }
    texts.extend(draw_bar(&mut canvas, (bar_left, upper), height * scale, top));
    texts.push(Text::grey(unit, (bar_left, MARGIN + TITLE / 2), TICK, Anchor::Left));
    texts.retain(|text| !text.text.is_empty());
    canvas.write(&texts)?;
    Ok(canvas.finish())
}

/// What the labels right of the bar, and the unit above it, take.
fn bar_text_width(top: f32, unit: &str) -> Result<usize, PlotError> {
    let above = text_width(unit, TICK)?.saturating_sub(BAR_WIDTH + 8);
    Ok(text_width(
        &tick(f64::from(top) / INTERVALS as f64, f64::from(top), f64::from(top)),
        TICK,
    )?
    .max(above)
        + 8)
}

/// The bar, brightest at its upper end; returns its labels.
fn draw_bar(canvas: &mut Canvas, (left, upper): (usize, usize), height: usize, top: f32) -> Vec<Text> {
    let share = |y: usize| 1.0 - y as f32 / (height - 1).max(1) as f32;
    let bar = Array3::from_shape_fn((3, height, BAR_WIDTH), |(channel, y, _)| colour(share(y))[channel]);
    canvas.picture(&bar, (left, upper), 1);
    let label = |k: usize| {
        let value = f64::from(top) * k as f64 / INTERVALS as f64;
        let y = upper + height * (INTERVALS - k) / INTERVALS;
        // The outermost letters stay beside the bar.
        let y = y.clamp(upper + TICK / 2, upper + height - TICK / 2);
        let number = tick(value, f64::from(top), f64::from(top));
        Text::grey(&number, (left + BAR_WIDTH + 8, y), TICK, Anchor::Left)
    };
    (0..=INTERVALS).map(label).collect()
}

/// `[3, H, W]` in [-1, 1].
fn coloured(values: &ArrayRef2<f32>, top: f32) -> Array3<f32> {
    let (height, width) = values.dim();
    Array3::from_shape_fn((3, height, width), |(channel, y, x)| {
        colour(values[[y, x]] / top)[channel]
    })
}

fn colour(share: f32) -> [f32; 3] {
    let RGBColor(red, green, blue) = ViridisRGB::get_color(share.clamp(0.0, 1.0));
    [red, green, blue].map(from_byte)
}

fn common_shape(maps: &[HeatMap<'_>]) -> Result<(usize, usize), PlotError> {
    let shape = maps.first().ok_or(PlotError::Empty("no maps were given"))?.values.dim();
    for map in maps {
        if map.values.dim() != shape || map.values.is_empty() {
            return Err(PlotError::Mismatch {
                what: format!("the shape of the map `{}`", map.title),
                expected: format!("{shape:?}, as the first has, and not empty"),
                found: format!("{:?}", map.values.dim()),
            });
        }
        if let Some(value) = map.values.iter().find(|value| !(value.is_finite() && **value >= 0.0)) {
            return Err(PlotError::Mismatch {
                what: format!("the numbers of the map `{}`", map.title),
                expected: "0 or more".into(),
                found: value.to_string(),
            });
        }
    }
    Ok(shape)
}
