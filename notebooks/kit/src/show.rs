//! Figures in a notebook.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::{Array2, ArrayRef2};
use plots::{Figure, HeatMap, Series, heat_maps};

/// Shows a figure under the cell, as a PNG. A cell can show one.
///
/// # Errors
///
/// If the figure cannot be encoded.
pub fn show(figure: &Figure) -> Result<()> {
    println!("{}", message(figure)?);
    Ok(())
}

/// What the kernel takes for a picture.
fn message(figure: &Figure) -> Result<String> {
    let png = STANDARD.encode(figure.png_bytes()?);
    Ok(format!("EVCXR_BEGIN_CONTENT image/png\n{png}\nEVCXR_END_CONTENT"))
}

/// Shows maps `[H, W]` of numbers from 0 up side by side, each below its title, with one colour bar from 0 to `top`.
///
/// # Errors
///
/// As [`heat_maps`].
pub fn show_maps(maps: &[(String, Array2<f32>)], top: f32, unit: &str) -> Result<()> {
    let maps: Vec<HeatMap<'_>> = maps.iter().map(|(title, values)| heat_map(title, values)).collect();
    show(&heat_maps(&maps, top, unit)?)
}

fn heat_map<'a>(title: &str, values: &'a ArrayRef2<f32>) -> HeatMap<'a> {
    HeatMap {
        title: title.to_owned(),
        values: values.view(),
    }
}

/// A line of a diagram: its name in the legend, and its points `(x, y)`.
#[must_use]
pub fn line(label: &str, points: Vec<(f64, f64)>) -> Series {
    Series {
        label: label.to_owned(),
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_handed_on_as_a_png() -> Result<()> {
        let figure = Figure {
            width: 2,
            height: 1,
            rgb: vec![0; 6],
        };
        let message = message(&figure)?;
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(
            (lines[0], lines[2]),
            ("EVCXR_BEGIN_CONTENT image/png", "EVCXR_END_CONTENT")
        );
        assert_eq!(STANDARD.decode(lines[1])?, figure.png_bytes()?);
        Ok(())
    }
}
