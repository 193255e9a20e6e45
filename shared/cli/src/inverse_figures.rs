//! The figures of an inverse problem: the lecture's result slide, the sampler's path, and the residual along it.

use anyhow::Result;
use diffusion::TrajectoryFrame;
use imaging::{NamedImage, OperatorSpec};
use ndarray::{Array3, ArrayRef3, Axis};
use plots::{Cell, Figure, Frame, PlotError, Row, Series, curves, image_rows, strip};

use crate::experiment::Shown;
use crate::operators::Asked;
use crate::session::Session;

/// How many moments of the path are shown.
const MOMENTS: usize = 9;
/// The standard deviation over samples that is shown as white, on the scale of [-1, 1].
pub const WHITE_STD: f32 = 0.25;

/// What became of one image.
pub(crate) struct Outcome<'a> {
    pub image: &'a NamedImage,
    /// The measurement as a picture, of any size.
    pub input: Array3<f32>,
    pub input_caption: String,
    /// One for each method; none where it cannot do the operator.
    pub answers: Vec<Option<Answer>>,
}

/// The reconstructions of one image by one method.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// At least one, once it is complete.
    pub samples: Vec<Array3<f32>>,
    /// Of the first sample.
    pub caption: String,
    pub mean_caption: String,
}

/// The figures of all operators together: a comparison where there are several methods, and the results of each.
pub(crate) fn save_figures(
    session: &mut Session,
    methods: &[&str],
    shown: &[(&OperatorSpec, Shown<'_>)],
) -> Result<()> {
    if shown.is_empty() {
        return Ok(());
    }
    if methods.len() > 1 {
        save_comparison(session, methods, shown)?;
    }
    for (index, method) in methods.iter().enumerate() {
        let name = match methods {
            [_] => "reconstructions.png".to_owned(),
            _ => format!("reconstructions-{method}.png"),
        };
        save_results(session, method, index, shown, &name)?;
    }
    Ok(())
}

/// The path of each method on one operator. With one method the files are named after the operator alone.
pub(crate) fn save_paths(
    session: &mut Session,
    asked: &Asked<'_>,
    methods: &[&str],
    paths: &[Vec<TrajectoryFrame>],
) -> Result<()> {
    for (method, path) in methods.iter().zip(paths) {
        let name = match methods {
            [_] => asked.file_name.clone(),
            _ => format!("{method}-{}", asked.file_name),
        };
        save_path(session, asked.spec, &name, path)?;
    }
    Ok(())
}

/// One row for each operator: ground truth, input, and the first reconstruction by each method; mid-grey where it
/// cannot do the operator.
fn save_comparison(session: &mut Session, methods: &[&str], shown: &[(&OperatorSpec, Shown<'_>)]) -> Result<()> {
    let fit = |shown: &Shown<'_>| {
        let size = shown.outcome.image.pixels.dim();
        (resize(&shown.outcome.input, size), Array3::zeros(size))
    };
    let pictures: Vec<(Array3<f32>, Array3<f32>)> = shown.iter().map(|(_, shown)| fit(shown)).collect();
    let mut rows = Vec::new();
    for ((spec, Shown { outcome, .. }), (input, nothing)) in shown.iter().zip(&pictures) {
        let answers = (0..methods.len()).map(|index| match outcome.answers.get(index) {
            Some(Some(answer)) => cell(&answer.samples[0], &answer.caption),
            Some(None) => cell(nothing, "cannot"),
            None => cell(nothing, "not reached"),
        });
        let given = [
            cell(&outcome.image.pixels, "PSNR / LPIPS"),
            cell(input, &outcome.input_caption),
        ];
        rows.push(Row {
            label: spec.to_string(),
            cells: given.into_iter().chain(answers).collect(),
        });
    }
    let titles: Vec<&str> = ["ground truth", "input"].iter().chain(methods).copied().collect();
    session.save_figure(&image_rows(&rows, &titles)?, "comparison.png")
}

/// The result figure of one method, one row for each operator that it can do: ground truth, input, the first
/// reconstruction, and, where there are several, their mean and standard deviation.
fn save_results(
    session: &mut Session,
    method: &str,
    index: usize,
    shown: &[(&OperatorSpec, Shown<'_>)],
    name: &str,
) -> Result<()> {
    let answered = shown.iter().filter_map(|(spec, Shown { outcome, .. })| {
        let answer = outcome.answers.get(index)?.as_ref()?;
        let input = resize(&outcome.input, outcome.image.pixels.dim());
        let pictures = [input, mean(&answer.samples), spread(&answer.samples)];
        Some((spec, outcome, answer, pictures))
    });
    let answered: Vec<_> = answered.collect();
    if answered.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row<'_>> = answered
        .iter()
        .map(|(spec, outcome, answer, pictures)| result_row(spec, outcome, answer, pictures))
        .collect();
    let titles = ["ground truth", "input", method, "mean of samples", "std of samples"];
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    session.save_figure(&image_rows(&rows, &titles[..columns])?, name)
}

fn cell<'a>(image: &'a Array3<f32>, caption: &str) -> Cell<'a> {
    Cell {
        image: image.view(),
        caption: caption.to_owned(),
    }
}

fn result_row<'a>(
    spec: &OperatorSpec,
    outcome: &'a Outcome<'_>,
    answer: &'a Answer,
    [input, mean, std]: &'a [Array3<f32>; 3],
) -> Row<'a> {
    let mut cells = vec![
        cell(&outcome.image.pixels, "PSNR / LPIPS"),
        cell(input, &outcome.input_caption),
        cell(&answer.samples[0], &answer.caption),
    ];
    if answer.samples.len() > 1 {
        cells.push(cell(mean, &answer.mean_caption));
        cells.push(cell(std, &format!("black 0, white {WHITE_STD}")));
    }
    Row {
        label: spec.to_string(),
        cells,
    }
}

/// The path of a batch's first image: for each moment `x_t`, and `x0_hat` below it.
///
/// # Errors
///
/// No moments; images that cannot be drawn.
pub fn path_strip<'a>(path: impl IntoIterator<Item = &'a TrajectoryFrame>) -> Result<Figure, PlotError> {
    let frame = |frame: &'a TrajectoryFrame| Frame {
        t: frame.step.t,
        x_t: frame.x_t.index_axis(Axis(0), 0),
        x0_hat: frame.x0_hat.index_axis(Axis(0), 0),
    };
    strip(&path.into_iter().map(frame).collect::<Vec<_>>())
}

/// The path of a batch's first image, `x_t` above `x0_hat`, and its residual against `t`.
fn save_path(session: &mut Session, spec: &OperatorSpec, name: &str, path: &[TrajectoryFrame]) -> Result<()> {
    let last = path.len().saturating_sub(1);
    let moments = MOMENTS.min(path.len());
    if moments == 0 {
        return Ok(());
    }
    let shown = (0..moments).map(|k| &path[k * last / (moments - 1).max(1)]);
    session.save_figure(&path_strip(shown)?, &format!("path-{name}.png"))?;

    let residual = |frame: &TrajectoryFrame| Some((frame.step.t as f64, f64::from(*frame.residual.as_ref()?.first()?)));
    let points: Vec<(f64, f64)> = path.iter().filter_map(residual).collect();
    if points.is_empty() {
        return Ok(());
    }
    let series = [Series {
        label: "||b - A x0_hat||".into(),
        points,
    }];
    let title = format!("{spec}: what is left unexplained of the measurement");
    let figure = curves(
        &title,
        "time t (the sampler goes from right to left)",
        "residual",
        &series,
    )?;
    session.save_figure(&figure, &format!("residual-{name}.png"))
}

/// The mean of images of one shape, `[C, H, W]`.
///
/// # Panics
///
/// If there are none, or they have different shapes.
#[must_use]
pub fn mean(samples: &[Array3<f32>]) -> Array3<f32> {
    let mut sum = Array3::<f32>::zeros(samples[0].dim());
    for sample in samples {
        sum += sample;
    }
    sum / samples.len() as f32
}

/// The standard deviation of each pixel over the samples, in quadratic mean over the channels, as a grey picture: black
/// (-1) is 0, white (1) is [`WHITE_STD`] and more.
///
/// # Panics
///
/// As [`mean`].
#[must_use]
pub fn spread(samples: &[Array3<f32>]) -> Array3<f32> {
    let mean = mean(samples);
    let (channels, _, _) = mean.dim();
    let degrees = (channels * (samples.len() - 1).max(1)) as f32;
    let squares = |y: usize, x: usize| -> f32 {
        let of_one = |sample: &Array3<f32>| -> f32 {
            (0..channels)
                .map(|c| (sample[[c, y, x]] - mean[[c, y, x]]).powi(2))
                .sum()
        };
        samples.iter().map(of_one).sum()
    };
    Array3::from_shape_fn(mean.dim(), |(_, y, x)| {
        let std = (squares(y, x) / degrees).sqrt();
        (2.0 * std / WHITE_STD - 1.0).min(1.0)
    })
}

/// A picture in the size of the images, each pixel from the nearest; a picture without pixels is mid-grey.
fn resize(picture: &ArrayRef3<f32>, (channels, height, width): (usize, usize, usize)) -> Array3<f32> {
    let (own_channels, own_height, own_width) = picture.dim();
    if picture.is_empty() {
        return Array3::zeros((channels, height, width));
    }
    Array3::from_shape_fn((channels, height, width), |(c, y, x)| {
        let channel = if own_channels == channels { c } else { 0 };
        picture[[channel, y * own_height / height, x * own_width / width]]
    })
}
