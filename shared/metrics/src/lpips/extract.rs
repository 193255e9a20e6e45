//! What LPIPS asks of a backbone.

use std::fmt::Debug;

use ndarray::Array4;

use super::LpipsError;

/// A network that turns images into feature maps at several stages.
pub(super) trait Extractor: Debug + Send + Sync {
    /// The least height and width of an image.
    fn smallest(&self) -> usize;

    /// Images `[B, 3, H, W]` in [-1, 1] to the features of each stage, `[B, C, H', W']`, in standard layout.
    fn features(&self, images: &Array4<f32>) -> Result<Vec<Array4<f32>>, LpipsError>;

    /// The same, with the pullback: from the gradient of each stage's features to that of the images. It is one backward
    /// pass and allocates no gradients of parameters.
    fn features_with_pullback<'a>(
        &'a self,
        images: &Array4<f32>,
    ) -> Result<(Vec<Array4<f32>>, FeaturePullback<'a>), LpipsError>;
}

/// From the gradient of each stage's features to that of the images.
pub(super) type FeaturePullback<'a> = Box<dyn FnOnce(Vec<Array4<f32>>) -> Result<Array4<f32>, LpipsError> + 'a>;
