//! What is asked of an image and of the samples of it, and what one image tells.

use imaging::{ForwardOperator, OperatorError, residual_norms};
use ndarray::{Array2, Array3, Array4, ArrayRef3, ArrayRef4, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

/// One image that was drawn from the prior, and what a method made of its measurement.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The image, `[C, H, W]`.
    pub truth: ArrayView3<'a, f32>,
    /// Its measurement, in the operator's shape.
    pub b: ArrayView3<'a, f32>,
    /// What the method drew, `[L, C, H, W]`.
    pub samples: &'a ArrayRef4<f32>,
    /// A random point, `[C, H, W]`: see [`reference_points`].
    pub reference: ArrayView3<'a, f32>,
}

/// Numbers that an image and its samples are compared by.
#[derive(Clone, Debug)]
pub struct Quantities<'a> {
    operator: &'a dyn ForwardOperator,
    /// Whether any of the pixels is hidden from the operator.
    any_hidden: bool,
    /// The pixels `(y, x)` that are hidden; all if none is.
    region: Vec<(usize, usize)>,
    /// Single pixels of the region.
    pixels: Vec<(usize, usize)>,
}

/// What one image tells of a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// How many samples there are.
    pub samples: usize,
    /// The rank of the truth among the samples by each of the quantities, `0..=L`.
    pub ranks: Vec<usize>,
    /// The share of the image's numbers that lie in the samples' central 50 % and 90 % intervals.
    pub covered: [f64; 2],
    /// The mean over the image's numbers of the samples' variance (that with `L - 1`).
    pub variance: f64,
    /// The mean squared error of the samples' mean.
    pub error_of_mean: f64,
    /// The mean squared error of the samples, on average.
    pub error_of_samples: f64,
}

/// The levels of [`Observation::covered`].
pub const LEVELS: [f64; 2] = [0.5, 0.9];

impl<'a> Quantities<'a> {
    /// The brightness of the region that is hidden from a linear operator (of the whole image if nothing is), that of
    /// three pixels in it, the norm of the residual, and the distance from the trial's random point.
    ///
    /// # Errors
    ///
    /// Those of the operator.
    pub fn new(operator: &'a dyn ForwardOperator) -> Result<Self, OperatorError> {
        let [_, height, width] = operator.image_shape();
        let all = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let heard = heard(operator)?;
        let is_hidden = |&(y, x): &(usize, usize)| heard.as_ref().is_some_and(|heard| !heard[[y, x]]);
        let hidden: Vec<_> = all.clone().filter(is_hidden).collect();
        let any_hidden = !hidden.is_empty();
        let region = if any_hidden { hidden } else { all.collect() };
        let pixels = [(1, 1), (2, 2), (1, 3)].map(|(y, x)| nearest(&region, (y * height / 4, x * width / 4)));
        let mut pixels: Vec<_> = pixels.into_iter().flatten().collect();
        pixels.dedup();
        Ok(Self {
            operator,
            any_hidden,
            region,
            pixels,
        })
    }

    /// What they are called, in the order of [`Observation::ranks`].
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let region = if self.any_hidden { "hidden pixels" } else { "brightness" };
        let pixels = self.pixels.iter().map(|(y, x)| format!("pixel ({y}, {x})"));
        let names = std::iter::once(region.to_owned()).chain(pixels);
        names
            .chain(["residual".to_owned(), "distance (TARP)".to_owned()])
            .collect()
    }

    /// Compares an image with the samples of it.
    ///
    /// # Errors
    ///
    /// Those of the operator.
    pub fn observe(&self, trial: &Trial<'_>) -> Result<Observation, OperatorError> {
        let samples = trial.samples.dim().0;
        let of_truth = self.values(&repeated(&trial.truth, 1), trial)?;
        let of_samples = self.values(trial.samples, trial)?;
        let below = |(truth, samples): (&Vec<f64>, &Vec<f64>)| samples.iter().filter(|&&x| x < truth[0]).count();
        let ranks = of_truth.iter().zip(&of_samples).map(below).collect();
        let mean = trial
            .samples
            .mean_axis(Axis(0))
            .unwrap_or_else(|| trial.truth.to_owned());
        let spread: f64 = trial
            .samples
            .outer_iter()
            .map(|sample| mean_square(&sample, &mean))
            .sum();
        let errors: f64 = trial
            .samples
            .outer_iter()
            .map(|sample| mean_square(&sample, &trial.truth))
            .sum();
        Ok(Observation {
            samples,
            ranks,
            covered: covered(trial),
            variance: spread / samples.saturating_sub(1).max(1) as f64,
            error_of_mean: mean_square(&mean, &trial.truth),
            error_of_samples: errors / samples.max(1) as f64,
        })
    }

    /// Each of the quantities, of all images.
    fn values(&self, images: &ArrayRef4<f32>, trial: &Trial<'_>) -> Result<Vec<Vec<f64>>, OperatorError> {
        let b = repeated(&trial.b, images.dim().0);
        let residuals = residual_norms(self.operator, &b, images)?;
        let distance = |image: ArrayView3<'_, f32>| mean_square(&image, &trial.reference);
        let mut values = vec![brightness(images, &self.region)];
        values.extend(self.pixels.iter().map(|&pixel| brightness(images, &[pixel])));
        values.push(residuals.into_iter().map(f64::from).collect());
        values.push(images.outer_iter().map(distance).collect());
        Ok(values)
    }
}

/// The mean over some pixels and all channels, of each image.
fn brightness(images: &ArrayRef4<f32>, pixels: &[(usize, usize)]) -> Vec<f64> {
    let channels = images.dim().1;
    let of_one = |image: ArrayView3<'_, f32>| {
        let numbers = pixels.iter().flat_map(|&(y, x)| (0..channels).map(move |c| [c, y, x]));
        numbers.map(|place| f64::from(image[place])).sum::<f64>() / (pixels.len() * channels) as f64
    };
    images.outer_iter().map(of_one).collect()
}

/// Random points for [`Trial::reference`], one for each measurement: `z + A^T (b - A z) / ||A||^2` for images `z` that
/// are drawn from the prior. Where ranks of the distance from such points are uniform for all ways to choose them the
/// samples are the posterior's (Lemos et al. 2023, theorem 3); for that the points have to depend on the measurement.
///
/// - `z`: `[B, C, H, W]`
/// - `b`: `[B, ...]`
///
/// # Errors
///
/// Those of the operator.
pub fn reference_points(
    operator: &dyn ForwardOperator,
    z: &Array4<f32>,
    b: &Array4<f32>,
) -> Result<Array4<f32>, OperatorError> {
    let norm = imaging::operator_norm(operator)?;
    if norm == 0.0 {
        return Ok(z.clone());
    }
    let towards_b = operator.vjp(z, &imaging::residual(operator, b, z)?)?;
    Ok(z + towards_b * norm.powi(-2) as f32)
}

/// So many copies of one measurement or image, as a batch.
#[must_use]
pub fn repeated(one: &ArrayRef3<f32>, count: usize) -> Array4<f32> {
    let (c, h, w) = one.dim();
    Array4::from_shape_fn((count, c, h, w), |(_, c, h, w)| one[[c, h, w]])
}

/// Which pixels a linear operator hears of in any channel, `[H, W]`; None for others. It looks for those that `A^T A`
/// maps to nothing in an image whose numbers are all different.
fn heard(operator: &dyn ForwardOperator) -> Result<Option<Array2<bool>>, OperatorError> {
    let Some(linear) = operator.as_linear() else {
        return Ok(None);
    };
    let [channels, height, width] = operator.image_shape();
    let uneven = |(_, c, y, x)| 1.0 + ((1 + c + channels * (x + width * y)) as f32).sin().abs();
    let image = Array4::from_shape_fn((1, channels, height, width), uneven);
    let back = linear.adjoint(&operator.apply(&image)?)?;
    let is_heard = |(y, x)| (0..channels).any(|c| back[[0, c, y, x]] != 0.0);
    Ok(Some(Array2::from_shape_fn((height, width), is_heard)))
}

fn nearest(pixels: &[(usize, usize)], (y, x): (usize, usize)) -> Option<(usize, usize)> {
    let distance = |&&(py, px): &&(usize, usize)| py.abs_diff(y).pow(2) + px.abs_diff(x).pow(2);
    pixels.iter().min_by_key(distance).copied()
}

/// The shares of the numbers whose rank among the samples is not one of the lowest and highest that each level leaves
/// out: between such samples an exact one lies with exactly the level's probability, if `L + 1` is a multiple of 20.
fn covered(trial: &Trial<'_>) -> [f64; 2] {
    let ranks = ranks_of_numbers(trial);
    let samples = trial.samples.dim().0;
    LEVELS.map(|level| {
        let outside = ((samples + 1) as f64 * (1.0 - level) / 2.0).round() as usize;
        let is_inside = |rank: &&usize| (outside..=samples - outside).contains(rank);
        ranks.iter().filter(is_inside).count() as f64 / ranks.len() as f64
    })
}

/// How many samples are below the truth in each number of the image, `[C, H, W]`.
fn ranks_of_numbers(trial: &Trial<'_>) -> Array3<usize> {
    let mut ranks = Array3::zeros(trial.truth.dim());
    for sample in trial.samples.outer_iter() {
        ndarray::azip!((rank in &mut ranks, &sample in &sample, &truth in &trial.truth) {
            *rank += usize::from(sample < truth);
        });
    }
    ranks
}

/// The mean over the numbers of `(a - b)^2`.
fn mean_square(a: &ArrayRef3<f32>, b: &ArrayRef3<f32>) -> f64 {
    let squares = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>() / a.len() as f64
}
