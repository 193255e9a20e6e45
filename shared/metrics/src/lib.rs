//! How close a reconstruction is to the ground truth: PSNR, SSIM and LPIPS.
//!
//! - [`psnr`]: the mean squared error in decibels;
//! - [`ssim`]: local means, variances and covariances;
//! - [`Lpips`]: the distance between features of a network.
//!
//! All take images `[C, H, W]` in the workspace's [-1, 1] and scale inside. The
//! prediction is clamped to [-1, 1] first, as it would be when written to a file; a ground truth outside of that range
//! is an error, because then one of the two images is most likely on another scale. Sums are taken in `f64`.

mod error;
mod lpips;
mod pixel;
mod structural;
#[cfg(feature = "tools")]
pub mod study;
#[cfg(feature = "tools")]
pub mod training;
#[cfg(feature = "tools")]
pub mod weights;

pub use error::MetricError;
pub use lpips::{Backbone, Lpips, LpipsError};
pub use pixel::psnr;
pub use structural::ssim;
