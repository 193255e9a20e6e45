//! What an experiment needs: the prior, images, operators, and how long it may take.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cli::{Judge, Scores, data_folder, find_prior};
use diffusion::{ScheduleError, ScoreModel, Step};
use imaging::{ForwardOperator, NamedImage, OperatorSpec, load_images};
use ndarray::{Array2, Array4, ArrayRef4, Axis};
use score_unet::Prior;

use crate::panics;

/// Set to 1 it makes all notebooks quick and their results worthless: for checking that they run.
const QUICK: &str = "NOTEBOOK_QUICK";
/// So many steps are taken at most, and so many samples drawn, in the reduced setting.
const QUICK_STEPS: usize = 12;
const QUICK_SAMPLES: usize = 2;
const PRIOR: &str = "fruits64";

/// The prior, the shipped images, and the setting.
#[derive(Debug)]
pub struct Lab {
    /// The trained network.
    pub prior: Prior,
    images: Vec<NamedImage>,
    judge: Judge,
    quick: bool,
}

impl Lab {
    /// Loads the prior and the images of the repository, wherever in it the notebook runs, says what they are, and sees
    /// to it that a panic is told in one line.
    ///
    /// # Errors
    ///
    /// If the repository's `data` is not found, or a file in it cannot be read.
    pub fn open() -> Result<Self> {
        panics::tell_briefly();
        let prior = Prior::load(&find_prior(PRIOR, data_folder())?)?;
        let images = load_images(&[data_folder()?.join("images")], prior.image_shape()[1])?;
        let quick = env::var_os(QUICK).is_some_and(|value| value == "1");
        println!("prior:   {}", prior.describe());
        println!("images:  {}, drawn from the prior, numbered from 0", images.len());
        println!(
            "setting: {}",
            if quick { "REDUCED, results mean nothing" } else { "full" }
        );
        Ok(Self {
            prior,
            images,
            judge: Judge::new()?,
            quick,
        })
    }

    /// Shipped image number `index`, as a batch `[1, 3, 64, 64]` in [-1, 1].
    ///
    /// # Errors
    ///
    /// If there is no image of that number.
    pub fn image(&self, index: usize) -> Result<Array4<f32>> {
        let last = self.images.len().saturating_sub(1);
        let image = self.images.get(index);
        let image = image.with_context(|| format!("there is no image {index}: name one from 0 to {last}"))?;
        Ok(image.pixels.clone().insert_axis(Axis(0)))
    }

    /// A guide of task 4, such as `painting` or `strokes`, as a batch of one.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn guide(&self, name: &str) -> Result<Array4<f32>> {
        let size = self.prior.image_shape()[1];
        let mut images = load_images(&[guides()?.join(format!("{name}.png"))], size)?;
        ensure!(
            images.len() == 1,
            "one image was expected in the guide `{name}`, not {}",
            images.len()
        );
        Ok(images.remove(0).pixels.insert_axis(Axis(0)))
    }

    /// What of a guide may change, `[H, W]`: 1 where its mask is bright.
    ///
    /// # Errors
    ///
    /// If the guide has no mask.
    pub fn mask(&self, guide: &str) -> Result<Array2<f32>> {
        let image = self.guide(&format!("{guide}-mask"))?;
        let brightness = image.index_axis(Axis(0), 0).sum_axis(Axis(0));
        Ok(brightness.mapv(|value| if value > 0.0 { 1.0 } else { 0.0 }))
    }

    /// The way back from pure noise in `count` steps; fewer in the reduced setting.
    ///
    /// # Errors
    ///
    /// If `count` is outside of `1..=1000`.
    pub fn steps(&self, count: usize) -> Result<Vec<Step>, ScheduleError> {
        let all = self.prior.schedule().steps(count)?;
        if self.quick && count > QUICK_STEPS {
            return self.prior.schedule().steps(QUICK_STEPS);
        }
        Ok(all)
    }

    /// How many samples to draw where the text says `count`; fewer in the reduced setting.
    #[must_use]
    pub fn samples(&self, count: usize) -> usize {
        if self.quick { count.min(QUICK_SAMPLES) } else { count }
    }

    /// The operator of a name on the command line, such as `inpainting` or `deconvolution`, for the prior's images.
    ///
    /// # Errors
    ///
    /// If there is none of that name: the message lists those there are.
    pub fn operator(&self, name: &str) -> Result<Box<dyn ForwardOperator>> {
        let spec: OperatorSpec = name.parse()?;
        Ok(spec.build(self.prior.image_shape(), 0)?)
    }

    /// PSNR, SSIM and LPIPS of the first image of a batch, compared with the first of `truth`.
    ///
    /// # Errors
    ///
    /// Empty batches, images of different shapes, a NaN.
    pub fn scores(&self, batch: &ArrayRef4<f32>, truth: &ArrayRef4<f32>) -> Result<Scores> {
        ensure!(
            batch.dim().0 > 0 && truth.dim().0 > 0,
            "a batch without images cannot be judged"
        );
        self.judge
            .scores(&batch.index_axis(Axis(0), 0), &truth.index_axis(Axis(0), 0))
    }

    /// The scores in short, for a caption: `31.2 dB / 0.028`, PSNR and LPIPS.
    ///
    /// # Errors
    ///
    /// As [`Self::scores`].
    pub fn caption(&self, batch: &ArrayRef4<f32>, truth: &ArrayRef4<f32>) -> Result<String> {
        let scores = self.scores(batch, truth)?;
        Ok(format!("{:.1} dB / {:.3}", scores.psnr, scores.lpips))
    }
}

fn guides() -> Result<PathBuf> {
    let data = data_folder()?;
    let root = data.parent().context("the folder `data` stands in the repository")?;
    Ok(root.join("tasks/task4_sdedit/guides"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_opens_in_the_repository() -> Result<()> {
        let lab = Lab::open()?;
        let image = lab.image(0)?;
        assert_eq!(image.dim(), (1, 3, 64, 64));
        assert!(
            lab.image(99)
                .is_err_and(|error| error.to_string().contains("from 0 to 15"))
        );
        assert_eq!(lab.steps(250)?.len(), if lab.quick { QUICK_STEPS } else { 250 });
        assert!(lab.steps(0).is_err() && lab.steps(1001).is_err());
        assert!(lab.operator("inpainting").is_ok() && lab.operator("impainting").is_err());
        assert_eq!(lab.caption(&image, &image)?, "inf dB / 0.000");
        Ok(())
    }

    #[test]
    fn guides_and_masks_are_found() -> Result<()> {
        let lab = Lab::open()?;
        assert_eq!(lab.guide("painting")?.dim(), (1, 3, 64, 64));
        let mask = lab.mask("strokes")?;
        assert!(mask.iter().any(|&value| value == 1.0) && mask.iter().any(|&value| value == 0.0));
        assert!(lab.guide("photograph").is_err() && lab.mask("painting").is_err());
        Ok(())
    }
}
