//! Points in the plane, and the vector field that moves them.

use plotters::prelude::*;

use crate::axis::Axis;
use crate::canvas::{Anchor, Area, Canvas, Chart, FINE, FONT, GREY, INK, Text, draw_error, fine, use_font};
use crate::error::PlotError;
use crate::figure::Figure;
use crate::palette::PALETTE;
use crate::text::shown;

const COLUMNS: usize = 3;
/// The width and the height of a panel with its axes.
const PANEL: usize = 310;
const TITLE_HEIGHT: usize = 30;
const TITLE: usize = 18;
const LABEL: usize = 16;
const TICK: usize = 14;
const MARGIN: usize = 10;
/// A shorter arrow, in pixels, would be a dot.
const SHORTEST: f64 = 3.0;

/// A vector of a field: the place where it begins, and the vector.
pub type Arrow = ((f64, f64), (f64, f64));

/// One moment of [`flow`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlowPanel {
    /// What stands above it, such as `t = 300`.
    pub title: String,
    /// Where the points are at this moment; drawn as dots.
    pub points: Vec<(f64, f64)>,
    /// Vectors of the field, each with the place where it begins.
    pub arrows: Vec<Arrow>,
    /// Places to be marked by crosses.
    pub marks: Vec<(f64, f64)>,
}

impl FlowPanel {
    /// The same in the units of the plotting library; arrows that are not finite are left out.
    fn placed(&self, axis: &Axis) -> Self {
        let place = |&(x, y): &(f64, f64)| (axis.place(x), axis.place(y));
        let finite = |((x, y), (dx, dy)): &&Arrow| [x, y, dx, dy].into_iter().all(|number| number.is_finite());
        Self {
            title: self.title.clone(),
            points: self.points.iter().map(place).collect(),
            arrows: self
                .arrows
                .iter()
                .filter(finite)
                .map(|(at, v)| (place(at), place(v)))
                .collect(),
            marks: self.marks.iter().map(place).collect(),
        }
    }
}

/// Panels in rows of three, one for each moment, over axes from `-extent` to `extent`. In each panel arrows are scaled
/// so that the longest is `longest` long; points and arrows that lie outside of the axes are left out.
///
/// # Errors
///
/// No panels, or an `extent` that is not above 0.
pub fn flow(
    panels: &[FlowPanel],
    extent: f64,
    longest: f64,
    (x_label, y_label): (&str, &str),
) -> Result<Figure, PlotError> {
    use_font()?;
    if panels.is_empty() {
        return Err(PlotError::Empty("no panels were given"));
    }
    if !(extent > 0.0 && extent.is_finite()) {
        return Err(PlotError::Mismatch {
            what: "the end of the axes".into(),
            expected: "a number above 0".into(),
            found: extent.to_string(),
        });
    }
    let columns = COLUMNS.min(panels.len());
    let rows = panels.len().div_ceil(columns);
    let height = PANEL + TITLE_HEIGHT + MARGIN;
    let mut canvas = Canvas::new(columns * PANEL + 2 * MARGIN, rows * height + MARGIN)?;
    let corner = |index: usize| (MARGIN + index % columns * PANEL, MARGIN + index / columns * height);
    let title = |(index, panel): (usize, &FlowPanel)| {
        let (left, upper) = corner(index);
        Text::ink(&panel.title, (left + PANEL / 2 + 20, upper + 4), TITLE, Anchor::Top)
    };
    let mut titles: Vec<Text> = panels.iter().enumerate().map(title).collect();
    titles.retain(|title| !title.text.is_empty());
    canvas.write(&titles)?;
    let axis = Axis::new([-extent, extent].into_iter(), 0.0).ok_or(PlotError::Empty("axes without an end"))?;
    canvas.draw(|area| {
        for (index, panel) in panels.iter().enumerate() {
            let (left, upper) = corner(index);
            let area = area
                .clone()
                .shrink((fine(left), fine(upper + TITLE_HEIGHT)), (fine(PANEL), fine(PANEL)));
            let mut chart = axes(&area, &axis, [x_label, y_label])?;
            draw_panel(&mut chart, &panel.placed(&axis), axis.range().end, axis.place(longest))?;
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

fn axes<'a, 'b>(area: &'a Area<'b>, axis: &Axis, names: [&str; 2]) -> Result<Chart<'a, 'b>, PlotError> {
    let [x_name, y_name] = names.map(shown);
    let mut chart = ChartBuilder::on(area)
        .margin_right(fine(8))
        .x_label_area_size(fine(44))
        .y_label_area_size(fine(52))
        .build_cartesian_2d(axis.range(), axis.range())
        .map_err(draw_error)?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .axis_desc_style((FONT, fine(LABEL)).into_font().color(&INK))
        .label_style((FONT, fine(TICK)).into_font().color(&GREY))
        .x_label_formatter(&|place| axis.label(*place))
        .y_label_formatter(&|place| axis.label(*place))
        .x_labels(5)
        .y_labels(5)
        .axis_style(GREY.stroke_width(FINE as u32))
        .bold_line_style(RGBColor(228, 228, 228).stroke_width(FINE as u32))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(draw_error)?;
    Ok(chart)
}

/// Arrows below, points over them, crosses on top.
fn draw_panel(chart: &mut Chart<'_, '_>, panel: &FlowPanel, extent: f64, longest: f64) -> Result<(), PlotError> {
    let inside = |(x, y): (f64, f64)| x.abs() <= extent && y.abs() <= extent;
    let length = |(x, y): (f64, f64)| x.hypot(y);
    let most = panel.arrows.iter().map(|(_, v)| length(*v)).fold(0.0, f64::max);
    for &(at, v) in panel.arrows.iter().filter(|(at, v)| inside(*at) && length(*v) > 0.0) {
        let share = longest / most;
        let to = (at.0 + v.0 * share, at.1 + v.1 * share);
        draw_arrow(chart, at, to)?;
    }
    let dot = |at: &(f64, f64)| Circle::new(*at, 2 * FINE as i32, PALETTE[0].mix(0.55).filled());
    let dots = panel.points.iter().filter(|at| inside(**at)).map(dot);
    chart.draw_series(dots).map_err(draw_error)?;
    let cross = |at: &(f64, f64)| Cross::new(*at, 6 * FINE as i32, PALETTE[1].stroke_width(3 * FINE as u32));
    let crosses = panel.marks.iter().filter(|at| inside(**at)).map(cross);
    chart.draw_series(crosses).map_err(draw_error)?;
    Ok(())
}

/// A line with a head, in pixels, so that the head keeps its shape.
fn draw_arrow(chart: &Chart<'_, '_>, from: (f64, f64), to: (f64, f64)) -> Result<(), PlotError> {
    let (start, end) = (chart.backend_coord(&from), chart.backend_coord(&to));
    let (dx, dy) = (f64::from(end.0 - start.0), f64::from(end.1 - start.1));
    let length = dx.hypot(dy);
    let style = RGBColor(125, 125, 125).stroke_width(FINE as u32);
    let area = chart.plotting_area().strip_coord_spec();
    let corner = area.get_base_pixel();
    let on_area = |(x, y): (f64, f64)| (x.round() as i32 - corner.0, y.round() as i32 - corner.1);
    let tip = (f64::from(end.0), f64::from(end.1));
    let line = vec![on_area((f64::from(start.0), f64::from(start.1))), on_area(tip)];
    area.draw(&PathElement::new(line, style)).map_err(draw_error)?;
    if length < SHORTEST * FINE as f64 {
        return Ok(());
    }
    let head = (0.35 * length).min(5.0 * FINE as f64);
    let barb = |side: f64| {
        let (along, across) = (head / length, side * 0.5 * head / length);
        on_area((tip.0 - along * dx - across * dy, tip.1 - along * dy + across * dx))
    };
    let barbs = vec![barb(1.0), on_area(tip), barb(-1.0)];
    area.draw(&PathElement::new(barbs, style)).map_err(draw_error)
}
