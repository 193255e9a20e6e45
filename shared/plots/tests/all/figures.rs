//! Figures: their size, that pictures stand in them unchanged, and what is refused. How they look is for the eye.

use ndarray::{Array2, Array3, ArrayView3};
use plots::{
    Cell, Figure, FlowPanel, Frame, HeatMap, Histogram, HistogramRow, PlotError, Row, Series, curves, flow, heat_maps,
    histograms, image_grid, image_rows, strip,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn flat(value: f32) -> Array3<f32> {
    Array3::from_elem((3, 64, 64), value)
}

fn cell<'a>(image: &'a Array3<f32>, caption: &str) -> Cell<'a> {
    Cell {
        image: image.view(),
        caption: caption.into(),
    }
}

/// How many of the figure's pixels are exactly of this grey.
fn count(figure: &Figure, grey: u8) -> usize {
    figure.rgb.chunks_exact(3).filter(|pixel| **pixel == [grey; 3]).count()
}

fn message(result: std::result::Result<Figure, PlotError>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "(no error)".into())
}

#[test]
fn pictures_are_enlarged_without_smoothing() -> Result {
    // 51 / 127.5 - 1: a grey that neither paper nor ink has.
    let image = flat(51.0 / 127.5 - 1.0);
    let rows = [
        Row {
            label: "t = 30".into(),
            cells: vec![cell(&image, "24.1 dB"), cell(&image, "31.2 dB / 0.93")],
        },
        Row {
            label: "t = 100".into(),
            cells: vec![cell(&image, "")],
        },
    ];
    let figure = image_rows(&rows, &["noisy", "denoised"])?;
    assert_eq!(figure.rgb.len(), 3 * (figure.width * figure.height) as usize);
    let pictures = count(&figure, 51);
    // Letters may hold a few pixels of that grey as well.
    assert!((3 * 192 * 192..3 * 192 * 192 + 50).contains(&pictures), "{pictures}");
    assert_eq!(
        image_rows(&rows, &["noisy", "denoised"])?,
        figure,
        "the same figure every time"
    );

    let grid = image_grid(&vec![image.view(); 7], 6)?;
    assert_eq!(count(&grid, 51), 7 * 128 * 128);
    assert_eq!((grid.width, grid.height), (6 * 134 + 6, 2 * 134 + 6));
    let frame = Frame {
        t: 1000,
        x_t: image.view(),
        x0_hat: image.view(),
    };
    assert!(count(&strip(&vec![frame; 8])?, 51) >= 16 * 128 * 128);
    Ok(())
}

#[test]
fn what_lies_outside_the_range_is_clamped() -> Result {
    let (black, white) = (flat(-4.0), flat(2.0));
    let grid = image_grid(&[black.view(), white.view()], 2)?;
    assert_eq!(count(&grid, 0), 192 * 192);
    Ok(())
}

#[test]
fn a_png_can_be_saved_and_handed_on() -> Result {
    let image = flat(0.0);
    let figure = image_grid(&[image.view()], 4)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("new/figure.png");
    figure.save(&path)?;
    let read = image::open(&path)?.into_rgb8();
    assert_eq!((read.width(), read.height()), (figure.width, figure.height));
    assert_eq!(read.as_raw(), &figure.rgb);
    assert_eq!(std::fs::read(&path)?, figure.png_bytes()?);

    std::fs::write(folder.path().join("file"), "")?;
    let refused = figure.save(&folder.path().join("file/figure.png"));
    assert!(refused.is_err_and(|error| error.to_string().contains("file/figure.png")));
    Ok(())
}

#[test]
fn curves_take_gaps_points_and_many_series() -> Result {
    let line = |k: usize| Series {
        label: format!("series {k}"),
        points: (0..50)
            .map(|i| (f64::from(i), if i == 20 { f64::NAN } else { f64::from(i) * k as f64 }))
            .collect(),
    };
    let few = curves("title", "t", "PSNR / dB", &[line(1)])?;
    let many = curves("title", "t", "PSNR / dB", &(0..20).map(line).collect::<Vec<_>>())?;
    assert!(many.height > few.height, "the legend takes more lines");
    assert_eq!(many.width, few.width);
    let flat = Series {
        label: "constant".into(),
        points: vec![(1.0, 5.0), (2.0, 5.0)],
    };
    curves("", "", "", std::slice::from_ref(&flat))?;
    let point = Series {
        label: "one point".into(),
        points: vec![(0.0, 0.0)],
    };
    curves("", "", "", &[point, flat])?;
    for scale in [1e-9, 1e-3, 1.0, 1e9] {
        let points = vec![(-scale, scale), (0.0, 2.0 * scale), (scale, -scale)];
        curves(
            "",
            "",
            "",
            &[Series {
                label: "scaled".into(),
                points,
            }],
        )?;
    }
    Ok(())
}

/// The plotting library itself neither ends nor lives with all of these.
#[test]
fn values_that_are_nearly_equal_or_far_apart_are_drawn() -> Result {
    for (low, high) in [
        (1e15, 1e15 + 0.125),
        (1e-300, 1.000_000_1e-300),
        (f64::MIN, f64::MAX),
        (0.0, 5e-324),
        (f64::MIN_POSITIVE, 1e300),
    ] {
        let points = vec![(low, low), (high, high)];
        let label = "line".into();
        curves("", "x", "y", &[Series { label, points }])?;
    }
    for extent in [5e-324, 1e-200, f64::MAX] {
        let mut panel = flow_panel("t");
        panel.arrows.push(((0.0, 0.0), (f64::INFINITY, extent)));
        flow(&[panel], extent, extent, ("x", "y"))?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let image = flat(0.0);
    assert!(message(image_rows(&[], &[])).contains("no images"));
    assert!(message(image_grid(&[], 4)).contains("no images"));
    assert!(message(image_grid(&[image.view()], 0)).contains("no columns"));
    assert!(message(strip(&[])).contains("no images"));
    let other = Array3::zeros((3, 32, 64));
    let mixed: [ArrayView3<'_, f32>; 2] = [image.view(), other.view()];
    assert!(message(image_grid(&mixed, 4)).contains("[3, 32, 64]"));
    assert!(message(image_grid(&[Array3::zeros((2, 4, 4)).view()], 4)).contains("[2, 4, 4]"));
    assert!(message(image_grid(&[Array3::zeros((3, 0, 4)).view()], 4)).contains("[3, 0, 4]"));
    assert!(message(image_grid(&[Array3::from_elem((3, 4, 4), f32::NAN).view()], 4)).contains("NaN"));
    let row = Row {
        label: String::new(),
        cells: vec![cell(&image, ""), cell(&image, "")],
    };
    assert!(message(image_rows(std::slice::from_ref(&row), &["one"])).contains("titles"));
    assert!(message(image_rows(&vec![row; 500], &[])).contains("draw fewer"));
    assert!(message(curves("", "", "", &[])).contains("nothing to draw"));
    let nan = Series {
        label: "nan".into(),
        points: vec![(0.0, f64::NAN)],
    };
    assert!(message(curves("", "", "", &[nan])).contains("nothing to draw"));
}

#[test]
fn long_texts_are_cut() -> Result {
    let image = flat(0.0);
    let long = "a very long name ".repeat(100);
    let rows = [Row {
        label: long.clone(),
        cells: vec![cell(&image, &long)],
    }];
    assert!(image_rows(&rows, &[&long])?.width < 2000);
    Ok(())
}

fn flow_panel(title: &str) -> FlowPanel {
    FlowPanel {
        title: title.into(),
        points: vec![(0.0, 0.0), (1.0, -1.0), (50.0, 0.0)],
        arrows: vec![((-1.0, 0.0), (3.0, 0.0))],
        marks: vec![(0.5, 0.5)],
    }
}

#[test]
fn a_flow_has_a_plot_for_each_moment() -> Result {
    let labels = ("x", "y");
    let one = flow(&[flow_panel("t = 100")], 2.0, 0.5, labels)?;
    let three = flow(&vec![flow_panel("t = 100"); 3], 2.0, 0.5, labels)?;
    assert!(three.width > 2 * one.width && one.rgb.len() == 3 * (one.width * one.height) as usize);
    let mut bare = flow_panel("t = 100");
    bare.arrows.clear();
    assert_ne!(flow(&[bare], 2.0, 0.5, labels)?, one, "the arrow is not drawn");
    assert!(message(flow(&[], 2.0, 0.5, labels)) != "(no error)");
    Ok(())
}

#[test]
fn a_heat_map_shows_each_number_in_its_colour() -> Result {
    let values = Array2::from_shape_fn((64, 64), |(_, x)| if x < 32 { 0.0 } else { 2.0 });
    let map = |values| HeatMap {
        title: "std".into(),
        values,
    };
    let figure = heat_maps(&[map(values.view())], 1.0, "pixels")?;
    // The ends of viridis; what is above the top counts as the top. Each pixel becomes 4 x 4.
    let pixels = |colour: [u8; 3]| figure.rgb.chunks_exact(3).filter(|pixel| **pixel == colour).count();
    let (dark, bright) = (pixels([68, 1, 84]), pixels([254, 232, 37]) + pixels([253, 231, 37]));
    assert!((128 * 256..128 * 256 + 2000).contains(&dark), "{dark} pixels are dark");
    assert!(
        (128 * 256..128 * 256 + 2000).contains(&bright),
        "{bright} pixels are bright"
    );
    let negative = values.mapv(|value| value - 1.0);
    assert!(message(heat_maps(&[map(negative.view())], 1.0, "pixels")).contains("0 or more"));
    assert!(message(heat_maps(&[map(values.view())], 0.0, "pixels")).contains("a number above 0"));
    assert!(message(heat_maps(&[], 1.0, "pixels")) != "(no error)");
    Ok(())
}

#[test]
fn a_histogram_shows_its_bars_and_marks_those_that_are_cut_off() -> Result {
    let row = |counts: Vec<usize>| HistogramRow {
        label: "DPS".into(),
        histograms: vec![Histogram {
            caption: "p = 0.3".into(),
            counts,
        }],
    };
    let even = histograms(&[row(vec![10; 20])], &["brightness"])?;
    let (mut half, mut high) = (vec![10; 20], vec![1; 20]);
    half[..10].fill(0);
    high[3] = 200;
    let (half, high) = (
        histograms(&[row(half)], &["brightness"])?,
        histograms(&[row(high)], &["brightness"])?,
    );
    let pixels = |figure: &Figure, is: fn(&[u8]) -> bool| figure.rgb.chunks_exact(3).filter(|rgb| is(rgb)).count();
    // Bars are blue, the mark of one that is cut off is orange.
    let blue = |rgb: &[u8]| i32::from(rgb[2]) > i32::from(rgb[0]) + 100;
    let orange = |rgb: &[u8]| i32::from(rgb[0]) > i32::from(rgb[2]) + 150;
    let (all, rest) = (pixels(&even, blue), pixels(&half, blue));
    assert!(
        all > 1000 && rest * 10 > all * 8 && rest < all * 12 / 10,
        "half the bars, twice as high: {all}, {rest}"
    );
    assert_eq!((pixels(&even, orange), pixels(&high, orange) > 5), (0, true));
    assert!(histograms(&vec![row(vec![1]); 3], &[])?.height > histograms(&[row(vec![1])], &[])?.height);
    assert!(message(histograms(&[], &[])).contains("no histograms"));
    assert!(message(histograms(&[row(vec![0, 0])], &[])).contains("without counts"));
    let mut two = row(vec![1]);
    two.histograms.push(two.histograms[0].clone());
    assert!(message(histograms(&[two], &["one"])).contains("one for each of 2 columns"));
    Ok(())
}
