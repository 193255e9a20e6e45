//! The metrics of a reconstruction, as the reports hold them.

use anyhow::{Context, Result};
use metrics::Lpips;
use ndarray::ArrayRef3;

use crate::report::ReportRow;

/// Compares reconstructions with the ground truth: PSNR, SSIM, and LPIPS with the embedded backbone.
#[derive(Debug)]
pub struct Judge {
    lpips: Lpips,
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
        Ok(Self { lpips })
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
    /// Different shapes, a NaN, a ground truth out of range.
    pub fn scores(&self, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<Scores> {
        Ok(Scores {
            psnr: metrics::psnr(prediction, truth)?,
            ssim: metrics::ssim(prediction, truth)?,
            lpips: self.lpips.distance(prediction, truth)?,
        })
    }

    /// A report's row for `prediction`, compared with the image `truth`.
    ///
    /// # Errors
    ///
    /// As [`Self::scores`].
    pub fn row(&self, what: &Judged<'_>, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<ReportRow> {
        let scores = self
            .scores(prediction, truth)
            .with_context(|| format!("{} of `{}` ({})", what.method, what.image, what.case))?;
        Ok(ReportRow {
            case: what.case.to_owned(),
            method: what.method.to_owned(),
            image: what.image.to_owned(),
            seed: what.seed,
            psnr: Some(scores.psnr),
            ssim: Some(scores.ssim),
            lpips: Some(scores.lpips),
            seconds: what.seconds,
        })
    }
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
