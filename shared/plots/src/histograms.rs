//! Small histograms in rows: how often each of some ranks came, beside what equally likely ones would give.

use plotters::prelude::*;

use crate::canvas::{Anchor, Area, Canvas, GREY, Text, draw_error, fine, text_width, use_font};
use crate::error::PlotError;
use crate::figure::Figure;
use crate::palette::PALETTE;

const PANEL_WIDTH: usize = 150;
const PANEL_HEIGHT: usize = 58;
const GAP: usize = 12;
const MARGIN: usize = 14;
const TITLE: usize = 17;
const LABEL: usize = 17;
const CAPTION: usize = 13;
const CAPTION_HEIGHT: usize = 18;
/// Bars end at so many times the height of even ones; what is higher is cut off.
const HIGHEST: f64 = 4.0;

/// One histogram of [`histograms`].
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// What stands under it; may be empty.
    pub caption: String,
    /// How often each value came, from the first to the last; at least one of them did.
    pub counts: Vec<usize>,
}

/// A row of [`histograms`].
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramRow {
    /// What stands left of it.
    pub label: String,
    /// Its histograms.
    pub histograms: Vec<Histogram>,
}

/// Histograms in rows, with a title above each column. A line shows where all bars would end if all values came equally
/// often, a grey band how far 99 % of the bars of equally likely values are from there (by the binomial law's standard
/// deviation). A bar that is higher than four times the line is cut off, and its end is marked.
///
/// # Errors
///
/// No histograms, one without counts, more columns than titles.
pub fn histograms(rows: &[HistogramRow], titles: &[&str]) -> Result<Figure, PlotError> {
    use_font()?;
    let columns = check(rows, titles)?;
    let mut left = 0;
    for row in rows {
        left = left.max(text_width(&row.label, LABEL)?);
    }
    let left = MARGIN + left + GAP;
    let top = MARGIN + if titles.is_empty() { 0 } else { TITLE + 10 };
    let height = PANEL_HEIGHT + CAPTION_HEIGHT + GAP;
    let corner = |row: usize, column: usize| (left + column * (PANEL_WIDTH + GAP), top + row * height);
    let mut canvas = Canvas::new(
        left + columns * (PANEL_WIDTH + GAP) + MARGIN,
        top + rows.len() * height + MARGIN,
    )?;
    let middle = |column: usize| corner(0, column).0 + PANEL_WIDTH / 2;
    let title = |(column, title): (usize, &&str)| Text::ink(title, (middle(column), MARGIN), TITLE, Anchor::Top);
    let mut texts: Vec<Text> = titles.iter().enumerate().map(title).collect();
    for (index, row) in rows.iter().enumerate() {
        let (_, upper) = corner(index, 0);
        texts.push(Text::ink(
            &row.label,
            (left - GAP, upper + PANEL_HEIGHT / 2),
            LABEL,
            Anchor::Right,
        ));
        for (column, histogram) in row.histograms.iter().enumerate() {
            let below = (middle(column), upper + PANEL_HEIGHT + 4);
            texts.push(Text::grey(&histogram.caption, below, CAPTION, Anchor::Top));
        }
    }
    texts.retain(|text| !text.text.is_empty());
    canvas.write(&texts)?;
    canvas.draw(|area| {
        for (index, row) in rows.iter().enumerate() {
            for (column, histogram) in row.histograms.iter().enumerate() {
                let (x, y) = corner(index, column);
                let panel = area
                    .clone()
                    .shrink((fine(x), fine(y)), (fine(PANEL_WIDTH), fine(PANEL_HEIGHT)));
                draw_panel(&panel, &histogram.counts)?;
            }
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

/// The number of columns.
fn check(rows: &[HistogramRow], titles: &[&str]) -> Result<usize, PlotError> {
    let columns = rows.iter().map(|row| row.histograms.len()).max().unwrap_or(0);
    if columns == 0 {
        return Err(PlotError::Empty("no histograms were given"));
    }
    if !titles.is_empty() && titles.len() < columns {
        return Err(PlotError::Mismatch {
            what: "the titles".into(),
            expected: format!("one for each of {columns} columns, or none"),
            found: titles.len().to_string(),
        });
    }
    let all = rows.iter().flat_map(|row| &row.histograms);
    match all.into_iter().find(|one| one.counts.iter().sum::<usize>() == 0) {
        Some(_) => Err(PlotError::Empty("a histogram without counts")),
        None => Ok(columns),
    }
}

/// The band, the bars over it, the line on top.
fn draw_panel(area: &Area<'_>, counts: &[usize]) -> Result<(), PlotError> {
    let (width, height) = (f64::from(fine(PANEL_WIDTH)), f64::from(fine(PANEL_HEIGHT)));
    let trials: usize = counts.iter().sum();
    let share = 1.0 / counts.len() as f64;
    let even = trials as f64 * share;
    // 2.58 standard deviations of a binomial.
    let band = 2.58 * (even * (1.0 - share)).sqrt();
    let at = |count: f64| (height * (1.0 - (count / even / HIGHEST).clamp(0.0, 1.0))).round() as i32;
    let right = |bar: usize| (width * bar as f64 * share).round() as i32;
    let whole = right(counts.len());
    let background = [(0, at(even + band)), (whole, at(even - band))];
    area.draw(&Rectangle::new(background, RGBColor(222, 222, 222).filled()))
        .map_err(draw_error)?;
    for (bar, &count) in counts.iter().enumerate() {
        let (from, to) = (right(bar) + 1, (right(bar + 1) - 2).max(right(bar) + 1));
        let bar = [(from, at(count as f64)), (to, at(0.0))];
        area.draw(&Rectangle::new(bar, PALETTE[0].mix(0.75).filled()))
            .map_err(draw_error)?;
        if count as f64 > HIGHEST * even {
            let end = [(from, 0), (to, fine(3) as i32)];
            area.draw(&Rectangle::new(end, PALETTE[1].filled()))
                .map_err(draw_error)?;
        }
    }
    for y in [even, 0.0] {
        let line = PathElement::new(vec![(0, at(y)), (whole, at(y))], GREY.stroke_width(fine(1)));
        area.draw(&line).map_err(draw_error)?;
    }
    Ok(())
}
