//! Lines over two axes.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::canvas::{Anchor, Canvas, FINE, FONT, GREY, INK, Text, draw_error, text_width, use_font};
use crate::palette::PALETTE;
use crate::{Figure, PlotError};

const WIDTH: usize = 900;
const PLOT_HEIGHT: usize = 520;
const TITLE: usize = 22;
const LABEL: usize = 18;
const TICK: usize = 16;
const LINE: usize = 26;
const MARGIN: usize = 16;

/// One line of [`curves`].
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Its points `(x, y)`, in the order they are joined. Where one is not finite the line is broken.
    pub points: Vec<(f64, f64)>,
}

/// Lines over axes with names and units, and a legend above the plot. From the eighth line on colours repeat, dashed.
///
/// # Errors
/// No series, or none with a finite point.
pub fn curves(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> Result<Figure, PlotError> {
    use_font()?;
    let finite = || {
        series
            .iter()
            .flat_map(|one| &one.points)
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    if finite().next().is_none() {
        return Err(PlotError::Empty("no series with a finite point"));
    }
    let (x_low, x_high) = range(finite().map(|point| point.0), 0.0);
    let (y_low, y_high) = range(finite().map(|point| point.1), 0.05);

    let mut texts = vec![Text {
        text: title.to_owned(),
        at: (WIDTH / 2, MARGIN),
        size: TITLE,
        colour: INK,
        anchor: Anchor::Top,
    }];
    let (keys, legend_lines) = legend(series, MARGIN + 36)?;
    let top = MARGIN + 36 + legend_lines * LINE;
    let mut canvas = Canvas::new(WIDTH, top + PLOT_HEIGHT)?;
    texts.extend(keys.iter().map(|key| Text {
        text: key.text.clone(),
        at: (key.x + 36, key.y),
        size: LABEL,
        colour: INK,
        anchor: Anchor::Left,
    }));
    canvas.write(&texts)?;
    canvas.draw(|area| {
        for (index, key) in keys.iter().enumerate() {
            let (x, y) = ((key.x * FINE) as i32, (key.y * FINE) as i32);
            line(area, index, vec![(x, y), (x + 28 * FINE as i32, y)])?;
        }
        let fine = |length: usize| (length * FINE) as u32;
        let plot = area.margin(fine(top), fine(MARGIN), fine(MARGIN), fine(2 * MARGIN));
        let mut chart = ChartBuilder::on(&plot)
            .x_label_area_size(fine(56))
            .y_label_area_size(fine(84))
            .build_cartesian_2d(x_low..x_high, y_low..y_high)
            .map_err(draw_error)?;
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .axis_desc_style((FONT, fine(LABEL)).into_font().color(&INK))
            .label_style((FONT, fine(TICK)).into_font().color(&GREY))
            .x_label_formatter(&|value| tick(*value, x_high - x_low))
            .y_label_formatter(&|value| tick(*value, y_high - y_low))
            .x_labels(10)
            .y_labels(8)
            .axis_style(GREY.stroke_width(FINE as u32))
            .set_all_tick_mark_size(fine(5))
            .bold_line_style(RGBColor(215, 215, 215).stroke_width(FINE as u32))
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(draw_error)?;
        for (index, one) in series.iter().enumerate() {
            for part in one.points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
                match part {
                    [] => {}
                    [point] => {
                        let dot = Circle::new(*point, 3 * FINE as i32, PALETTE[index % PALETTE.len()].filled());
                        chart.draw_series(std::iter::once(dot)).map_err(draw_error)?;
                    }
                    _ if dashed(index) => {
                        let drawn = DashedLineSeries::new(part.iter().copied(), fine(8), fine(5), stroke(index));
                        chart.draw_series(drawn).map_err(draw_error)?;
                    }
                    _ => {
                        chart
                            .draw_series(LineSeries::new(part.iter().copied(), stroke(index)))
                            .map_err(draw_error)?;
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

/// A name in the legend and where its line begins.
struct Key {
    text: String,
    x: usize,
    y: usize,
}

/// Lays the legend out in lines from `top` down; returns the keys and the number of lines.
fn legend(series: &[Series], top: usize) -> Result<(Vec<Key>, usize), PlotError> {
    let (mut keys, mut x, mut lines) = (Vec::new(), 84 + MARGIN, 1);
    for one in series {
        let width = 36 + text_width(&one.label, LABEL)? + 24;
        if x + width > WIDTH && !keys.is_empty() {
            (x, lines) = (84 + MARGIN, lines + 1);
        }
        keys.push(Key {
            text: one.label.clone(),
            x,
            y: top + (lines - 1) * LINE + LINE / 2,
        });
        x += width;
    }
    Ok((keys, lines))
}

fn dashed(index: usize) -> bool {
    index / PALETTE.len() % 2 == 1
}

fn stroke(index: usize) -> ShapeStyle {
    PALETTE[index % PALETTE.len()].stroke_width(2 * FINE as u32)
}

/// A line of the legend, in the style of the series it stands for.
fn line(
    area: &DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>,
    index: usize,
    points: Vec<(i32, i32)>,
) -> Result<(), PlotError> {
    if dashed(index) {
        area.draw(&DashedPathElement::new(points, 8, 5, stroke(index)))
            .map_err(draw_error)
    } else {
        area.draw(&PathElement::new(points, stroke(index))).map_err(draw_error)
    }
}

/// The smallest and the largest value, with a share of `room` on both sides; never empty.
fn range(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if high > low {
        let extra = (high - low) * room;
        return (low - extra, high + extra);
    }
    let extra = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - extra, high + extra)
}

/// A number at an axis: as many decimals as the axis' span calls for.
pub(crate) fn tick(value: f64, span: f64) -> String {
    if !(1e-4..1e6).contains(&span) {
        return format!("{value:.1e}");
    }
    let decimals = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return if text == "-0" { "0".into() } else { text };
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}
