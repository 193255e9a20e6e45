//! What LPIPS asks of a backbone.

use std::fmt::Debug;

use ndarray::Array4;

use crate::lpips::error::LpipsError;

/// A network that turns images into feature maps at several stages.
pub(super) trait Extractor: Debug + Send + Sync {
    /// The least height and width of an image.
    fn smallest(&self) -> usize;

    /// Images `[B, 3, H, W]` in [-1, 1] to the features of each stage, `[B, C, H', W']`, in standard layout.
    ///
    /// # Errors
    ///
    /// What the device reports.
    fn features(&self, images: &Array4<f32>) -> Result<Vec<Array4<f32>>, LpipsError>;
}
