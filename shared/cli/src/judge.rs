//! The metrics of a reconstruction, as the reports hold them.

use std::sync::Once;

use anyhow::{Context, Error, Result};
use metrics::{Lpips, LpipsError, MetricError};
use ndarray::ArrayRef3;
use program::say;

use crate::report::ReportRow;

/// Compares reconstructions with the ground truth: PSNR, SSIM, and LPIPS with the embedded backbone.
#[derive(Debug)]
pub struct Judge {
    lpips: Lpips,
    /// That a metric is left out is told once.
    no_ssim: Once,
    no_lpips: Once,
}

/// What [`Judge`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// In dB; infinite for equal images.
    pub psnr: f64,
    /// At most 1, for equal images.
    pub ssim: f64,
    /// 0 for equal images.
    pub lpips: f64,
}

impl Judge {
    /// Sets the metrics up.
    ///
    /// # Errors
    ///
    /// If the weights of LPIPS cannot be read.
    pub fn new() -> Result<Self> {
        let lpips = Lpips::embedded().context("cannot set LPIPS up")?;
        Ok(Self {
            lpips,
            no_ssim: Once::new(),
            no_lpips: Once::new(),
        })
    }

    /// The network that LPIPS is computed with: reports name it.
    #[must_use]
    pub fn backbone(&self) -> &'static str {
        self.lpips.name()
    }

    /// All metrics of `prediction` and `truth`, both `[C, H, W]` in [-1, 1].
    ///
    /// # Errors
    ///
    /// Different shapes, a NaN, a ground truth out of range; images too small for SSIM (11x11) or LPIPS (16x16).
    pub fn scores(&self, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<Scores> {
        Ok(Scores {
            psnr: metrics::psnr(prediction, truth)?,
            ssim: metrics::ssim(prediction, truth)?,
            lpips: self.lpips.distance(prediction, truth)?,
        })
    }

    /// A report's row for `prediction`, compared with the image `truth`. A metric that the images are too small for is
    /// left out, which is said once.
    ///
    /// # Errors
    ///
    /// Different shapes, a NaN, a ground truth out of range.
    pub fn row(&self, what: &Judged<'_>, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<ReportRow> {
        let context = || format!("{} of `{}` ({})", what.method, what.image, what.case);
        let psnr = metrics::psnr(prediction, truth).with_context(context)?;
        let ssim = metrics::ssim(prediction, truth).map_err(Error::from);
        let lpips = self.lpips.distance(prediction, truth).map_err(Error::from);
        Ok(ReportRow {
            case: what.case.to_owned(),
            method: what.method.to_owned(),
            image: what.image.to_owned(),
            seed: what.seed,
            psnr: Some(psnr),
            ssim: unless_too_small(ssim, &self.no_ssim).with_context(context)?,
            lpips: unless_too_small(lpips, &self.no_lpips).with_context(context)?,
            seconds: what.seconds,
        })
    }
}

/// None where the images are too small for the metric.
fn unless_too_small(metric: Result<f64>, told: &Once) -> Result<Option<f64>> {
    match metric {
        Err(error) if is_too_small(&error) => {
            told.call_once(|| say(&format!("note: {error}; it is left out")));
            Ok(None)
        }
        metric => metric.map(Some),
    }
}

fn is_too_small(error: &Error) -> bool {
    let images = match error.downcast_ref() {
        Some(LpipsError::Images(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    matches!(images, Some(MetricError::TooSmall { .. }))
}

/// What a [`ReportRow`] says besides the metrics; the fields are as there.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The setting, such as `inpainting`.
    pub case: &'a str,
    /// What was done.
    pub method: &'a str,
    /// The image's name.
    pub image: &'a str,
    /// Where its random numbers came from.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_metric_is_left_out_where_images_are_too_small_for_it() -> Result<()> {
        let judge = Judge::new()?;
        let what = Judged {
            case: "case",
            method: "method",
            image: "image",
            seed: 0,
            seconds: 0.0,
        };
        for (size, ssim, lpips) in [(8, false, false), (12, true, false), (16, true, true)] {
            let truth = Array3::from_shape_fn((3, size, size), |(c, y, x)| ((c + y + x) % 3) as f32 / 2.0 - 0.5);
            let row = judge.row(&what, &(&truth * 0.5), &truth)?;
            assert!(row.psnr.is_some());
            assert_eq!(
                (row.ssim.is_some(), row.lpips.is_some()),
                (ssim, lpips),
                "{size}x{size}"
            );
            assert!(
                judge
                    .row(&what, &Array3::from_elem(truth.dim(), f32::NAN), &truth)
                    .is_err()
            );
        }
        Ok(())
    }
}
