//! Lines over two axes.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::axis::Axis;
use crate::canvas::{Anchor, Area, Canvas, Chart, FINE, FONT, GREY, INK, Text, draw_error, fine, text_width, use_font};
use crate::error::PlotError;
use crate::figure::Figure;
use crate::palette::PALETTE;
use crate::text::shown;

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
    let [x_axis, y_axis] = both_axes(series)?;
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
        let mut chart = axes(&plot, [&x_axis, &y_axis], [x_label, y_label])?;
        for (index, one) in series.iter().enumerate() {
            let place = |&(x, y): &(f64, f64)| (x_axis.place(x), y_axis.place(y));
            let points: Vec<(f64, f64)> = one.points.iter().map(place).collect();
            draw_series(&mut chart, index, &points)?;
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

/// The axis of x and that of y, for all points that are finite.
fn both_axes(series: &[Series]) -> Result<[Axis; 2], PlotError> {
    let points = || {
        let points = series.iter().flat_map(|one| &one.points);
        points.filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    let x_axis = Axis::new(points().map(|point| point.0), 0.0);
    let y_axis = Axis::new(points().map(|point| point.1), 0.05);
    match (x_axis, y_axis) {
        (Some(x_axis), Some(y_axis)) => Ok([x_axis, y_axis]),
        _ => Err(PlotError::Empty("no series with a finite point")),
    }
}

/// Axes with their names, numbers and the lines of the grid.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    [x_axis, y_axis]: [&Axis; 2],
    names: [&str; 2],
) -> Result<Chart<'a, 'b>, PlotError> {
    let [x_name, y_name] = names.map(shown);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(fine(56))
        .y_label_area_size(fine(84))
        .build_cartesian_2d(x_axis.range(), y_axis.range())
        .map_err(draw_error)?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .axis_desc_style((FONT, fine(LABEL)).into_font().color(&INK))
        .label_style((FONT, fine(TICK)).into_font().color(&GREY))
        .x_label_formatter(&|place| x_axis.label(*place))
        .y_label_formatter(&|place| y_axis.label(*place))
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
