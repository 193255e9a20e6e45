//! One vector of features for an image, from the embedded backbone: what distances between sets of images compare.

use ndarray::{Array2, ArrayRef4, ArrayView4, Axis};
use nn::Cpu;
use rayon::prelude::*;

use crate::error::MetricError;
use crate::lpips::error::LpipsError;
use crate::lpips::extract::Extractor;
use crate::lpips::feature_net::{FeatureNet, STAGE_CHANNELS};
use crate::lpips::{Backbone, PAIRS, clamped};

/// The features of the embedded backbone's last stage, averaged over the pixels.
///
/// The backbone was trained to tell ten kinds of things apart on photographs of 32x32 pixels; it is not the network of
/// published Fréchet distances, with whose values none can be compared.
#[derive(Debug)]
pub struct ImageFeatures {
    extractor: Box<dyn Extractor>,
}

impl ImageFeatures {
    /// How many features an image has: the channels of the fifth stage.
    pub const SIZE: usize = STAGE_CHANNELS[STAGE_CHANNELS.len() - 1];

    /// With the weights that are part of the program.
    ///
    /// # Errors
    ///
    /// If the embedded weights are damaged, which a build of this repository's files is not.
    pub fn embedded() -> Result<Self, LpipsError> {
        let extractor = FeatureNet::<Cpu>::embedded().map_err(|source| LpipsError::Weights {
            name: Backbone::Embedded.name(),
            source,
        })?;
        Ok(Self {
            extractor: Box::new(extractor),
        })
    }

    /// `[N, 3, H, W]` in [-1, 1] to `[N, 192]`. Pixels outside of the range are clamped first, as a file would.
    ///
    /// # Errors
    ///
    /// Images that are not RGB, too small, or hold a NaN.
    pub fn of(&self, images: &ArrayRef4<f32>) -> Result<Array2<f64>, LpipsError> {
        self.check(images)?;
        // A few images on each thread: their feature maps stay in the cache.
        let chunks: Vec<_> = images.axis_chunks_iter(Axis(0), 2 * PAIRS).collect();
        let of_chunk = |chunk: &ArrayView4<'_, f32>| self.of_few(chunk);
        let features = chunks.par_iter().map(of_chunk).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<f64> = features.concat();
        Ok(Array2::from_shape_vec((images.dim().0, Self::SIZE), values)
            .unwrap_or_else(|_| unreachable!("so many numbers for each image")))
    }

    fn of_few(&self, images: &ArrayView4<'_, f32>) -> Result<Vec<f64>, LpipsError> {
        let stages = self.extractor.features(&clamped(images))?;
        let last = stages.last().map_or(&[][..], |maps| maps.as_slice().unwrap_or(&[]));
        let pixels = last.len() / (images.dim().0 * Self::SIZE);
        let mean = |plane: &[f32]| plane.iter().copied().map(f64::from).sum::<f64>() / pixels as f64;
        Ok(last.chunks(pixels).map(mean).collect())
    }

    fn check(&self, images: &ArrayRef4<f32>) -> Result<(), LpipsError> {
        let (_, channels, height, width) = images.dim();
        let smallest = self.extractor.smallest();
        if height < smallest || width < smallest {
            let (metric, found) = ("features", images.shape()[1..].to_vec());
            return Err(MetricError::TooSmall {
                metric,
                smallest,
                found,
            }
            .into());
        }
        if channels != 3 {
            return Err(LpipsError::Channels { found: channels });
        }
        if let Some(((_, c, y, x), &value)) = images.indexed_iter().find(|(_, value)| !value.is_finite()) {
            let (image, index) = ("image", [c, y, x]);
            return Err(MetricError::NotFinite { image, index, value }.into());
        }
        Ok(())
    }
}
