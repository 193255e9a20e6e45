//! The Gaussian blur: the simplest denoiser there is, and what a prior has to beat.

use ndarray::{Array3, ArrayRef3, Axis};

use crate::error::ImageError;

const MAX_SIGMA: f32 = 1000.0;

/// Blurs each channel of `[C, H, W]` with a Gaussian of standard deviation `sigma` pixels, cut off at four of them.
/// Beyond the border the image is reflected (`c b a | a b c`). `sigma = 0` returns the image as it is.
///
/// # Errors
///
/// A `sigma` that is negative, above 1000 or no number.
pub fn gaussian_blur(image: &ArrayRef3<f32>, sigma: f32) -> Result<Array3<f32>, ImageError> {
    let kernel = gaussian(sigma)?;
    let mut blurred = image.to_owned();
    if blurred.is_empty() {
        return Ok(blurred);
    }
    for axis in [1, 2] {
        let mut line = Vec::new();
        for mut lane in blurred.lanes_mut(Axis(axis)) {
            extend(&mut line, lane.iter().copied(), kernel.len() / 2);
            for (window, pixel) in line.windows(kernel.len()).zip(lane.iter_mut()) {
                *pixel = window.iter().zip(&kernel).map(|(a, b)| a * b).sum();
            }
        }
    }
    Ok(blurred)
}

/// The best that a Gaussian blur can do for `noisy`: the blur (and its sigma) that comes closest to `truth`, in mean
/// squared error after clamping to [-1, 1], so the one with the highest PSNR.
///
/// The search looks at the ground truth, which no denoiser may: it is an upper bound on all such blurs, chosen anew
/// for each image.
///
/// # Errors
///
/// Arrays of different shapes.
pub fn best_gaussian_blur(noisy: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<(f32, Array3<f32>), ImageError> {
    if noisy.dim() != truth.dim() {
        return Err(ImageError::Invalid {
            what: "the noisy image",
            expected: format!("the ground truth's shape {:?}", truth.shape()),
            found: format!("{:?}", noisy.shape()),
        });
    }
    let error = |sigma: f32| -> Result<(f64, Array3<f32>), ImageError> {
        let blurred = gaussian_blur(noisy, sigma)?;
        let squares = blurred
            .iter()
            .zip(truth)
            .map(|(a, b)| f64::from(a.clamp(-1.0, 1.0) - b).powi(2))
            .sum();
        Ok((squares, blurred))
    };
    let side = noisy.dim().1.max(noisy.dim().2) as f32;
    let mut best = (0.0, error(0.0)?);
    let try_sigma = |sigma: f32, best: &mut (f32, (f64, Array3<f32>))| -> Result<(), ImageError> {
        let tried = error(sigma)?;
        if tried.0 < best.1.0 {
            *best = (sigma, tried);
        }
        Ok(())
    };
    // Over all scales first, then ever closer around the best of them.
    let ratio = 1.4_f32;
    let mut sigma = 0.25;
    while sigma <= (side / 2.0).max(0.25) {
        try_sigma(sigma, &mut best)?;
        sigma *= ratio;
    }
    let mut step = ratio.sqrt();
    while best.0 > 0.0 && step > 1.005 {
        let centre = best.0;
        try_sigma(centre * step, &mut best)?;
        try_sigma(centre / step, &mut best)?;
        step = step.sqrt();
    }
    Ok((best.0, best.1.1))
}

/// The weights of a Gaussian, of odd number, with sum 1.
fn gaussian(sigma: f32) -> Result<Vec<f32>, ImageError> {
    if !(0.0..=MAX_SIGMA).contains(&sigma) {
        return Err(ImageError::Invalid {
            what: "the blur's sigma",
            expected: format!("0 to {MAX_SIGMA} pixels"),
            found: sigma.to_string(),
        });
    }
    let sigma = f64::from(sigma);
    let radius = (4.0 * sigma).ceil() as i64;
    // Below this no neighbour has a weight that f32 can hold.
    if sigma < 0.05 {
        return Ok(vec![1.0]);
    }
    let weights: Vec<f64> = (-radius..=radius)
        .map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    Ok(weights.into_iter().map(|weight| (weight / sum) as f32).collect())
}

/// `line` becomes the values with `radius` reflected ones on each side, over and over where the radius is the longer.
fn extend(line: &mut Vec<f32>, values: impl Iterator<Item = f32>, radius: usize) {
    let values: Vec<f32> = values.collect();
    line.clear();
    let n = values.len() as i64;
    let reflect = |i: i64| {
        let folded = i.rem_euclid(2 * n);
        values[folded.min(2 * n - 1 - folded) as usize]
    };
    line.extend((-(radius as i64)..0).map(reflect));
    line.extend_from_slice(&values);
    line.extend((n..n + radius as i64).map(reflect));
}
