//! How close a reconstruction is to the ground truth: PSNR, SSIM and LPIPS. How close one set of images is to another:
//! the Fréchet distance.
//!
//! - [`psnr`]: the mean squared error in decibels;
//! - [`ssim`]: local means, variances and covariances;
//! - [`Lpips`]: the distance between features of a network;
//! - [`frechet_distance`] between sets of images, each the [`Moments`] of its [`ImageFeatures`].
//!
//! The first three take images `[C, H, W]` in the workspace's [-1, 1] and scale inside. The
//! prediction is clamped to [-1, 1] first, as it would be when written to a file; a ground truth outside of that range
//! is an error, because then one of the two images is most likely on another scale. Sums are taken in `f64`.
//!
//! ```
//! let truth = ndarray::Array3::from_elem((3, 16, 16), 0.25);
//! // 0.05 on [-1, 1] is 0.025 of [0, 1]: -20 log10(0.025) = 32.04 dB.
//! assert!((metrics::psnr(&(&truth + 0.05), &truth)? - 32.04).abs() < 0.01);
//! # Ok::<(), metrics::MetricError>(())
//! ```

mod error;
mod frechet;
mod lpips;
mod psnr;
mod singular_values;
mod ssim;

pub use error::{FrechetError, MetricError};
pub use frechet::{Moments, frechet_distance};
pub use lpips::{Backbone, ImageFeatures, Lpips, LpipsError};
pub use psnr::psnr;
pub use ssim::ssim;

/// The networks behind [`Lpips`], for the programs that train and import them. A distance needs nothing of it.
pub mod networks {
    pub use crate::lpips::{FeatureNet, TensorSpec, backbone_tensors, linear_tensors, select};
}
