//! Lines over two axes.

use std::ops::Range;

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::canvas::{Anchor, Area, Canvas, Chart, FINE, FONT, GREY, INK, Text, draw_error, fine, text_width, use_font};
use crate::error::PlotError;
use crate::figure::Figure;
use crate::palette::PALETTE;

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
///
/// No series, or none with a finite point.
pub fn curves(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> Result<Figure, PlotError> {
    use_font()?;
    let (x_range, y_range) = ranges(series)?;
    let (keys, legend_lines) = legend(series, MARGIN + 36)?;
    let top = MARGIN + 36 + legend_lines * LINE;
    let mut canvas = Canvas::new(WIDTH, top + PLOT_HEIGHT)?;
    let mut texts = vec![Text::ink(title, (WIDTH / 2, MARGIN), TITLE, Anchor::Top)];
    let name = |key: &Key| Text::ink(&key.text, (key.x + 36, key.y), LABEL, Anchor::Left);
    texts.extend(keys.iter().map(name));
    canvas.write(&texts)?;
    canvas.draw(|area| {
        for (index, key) in keys.iter().enumerate() {
            draw_key(area, index, key)?;
        }
        let plot = area.margin(fine(top), fine(MARGIN), fine(MARGIN), fine(2 * MARGIN));
        let mut chart = axes(&plot, x_range, y_range, (x_label, y_label))?;
        for (index, one) in series.iter().enumerate() {
            draw_series(&mut chart, index, &one.points)?;
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

/// From where to where the axes reach.
fn ranges(series: &[Series]) -> Result<(Range<f64>, Range<f64>), PlotError> {
    let points = series.iter().flat_map(|one| &one.points);
    let finite: Vec<&(f64, f64)> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if finite.is_empty() {
        return Err(PlotError::Empty("no series with a finite point"));
    }
    let x_range = range(finite.iter().map(|point| point.0), 0.0);
    let y_range = range(finite.iter().map(|point| point.1), 0.05);
    Ok((x_range, y_range))
}

/// Axes with their names, numbers and the lines of the grid.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    x_range: Range<f64>,
    y_range: Range<f64>,
    (x_label, y_label): (&str, &str),
) -> Result<Chart<'a, 'b>, PlotError> {
    let (x_span, y_span) = (x_range.end - x_range.start, y_range.end - y_range.start);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(fine(56))
        .y_label_area_size(fine(84))
        .build_cartesian_2d(x_range, y_range)
        .map_err(draw_error)?;
    chart
        .configure_mesh()
        .x_desc(x_label)
        .y_desc(y_label)
        .axis_desc_style((FONT, fine(LABEL)).into_font().color(&INK))
        .label_style((FONT, fine(TICK)).into_font().color(&GREY))
        .x_label_formatter(&|value| tick(*value, x_span))
        .y_label_formatter(&|value| tick(*value, y_span))
        .x_labels(10)
        .y_labels(8)
        .axis_style(GREY.stroke_width(FINE as u32))
        .set_all_tick_mark_size(fine(5))
        .bold_line_style(RGBColor(215, 215, 215).stroke_width(FINE as u32))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(draw_error)?;
    Ok(chart)
}

/// The line of series number `index`, in parts where a point is not finite; a part of one point is a dot.
fn draw_series(chart: &mut Chart<'_, '_>, index: usize, points: &[(f64, f64)]) -> Result<(), PlotError> {
    for part in points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
        match part {
            [] => {}
            [point] => {
                let dot = Circle::new(*point, 3 * FINE as i32, PALETTE[index % PALETTE.len()].filled());
                chart.draw_series(std::iter::once(dot)).map_err(draw_error)?;
            }
            _ if dashed(index) => {
                let line = DashedLineSeries::new(part.iter().copied(), fine(8), fine(5), stroke(index));
                chart.draw_series(line).map_err(draw_error)?;
            }
            _ => {
                let line = LineSeries::new(part.iter().copied(), stroke(index));
                chart.draw_series(line).map_err(draw_error)?;
            }
        }
    }
    Ok(())
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

/// The line of a key, in the style of the series that it stands for.
fn draw_key(area: &Area<'_>, index: usize, key: &Key) -> Result<(), PlotError> {
    let (x, y) = (fine(key.x) as i32, fine(key.y) as i32);
    let points = vec![(x, y), (x + fine(28) as i32, y)];
    if dashed(index) {
        area.draw(&DashedPathElement::new(points, 8, 5, stroke(index)))
            .map_err(draw_error)
    } else {
        area.draw(&PathElement::new(points, stroke(index))).map_err(draw_error)
    }
}

/// The smallest and the largest value, with a share of `room` on both sides; never empty.
fn range(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if high > low {
        let extra = (high - low) * room;
        return low - extra..high + extra;
    }
    let extra = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    low - extra..high + extra
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
