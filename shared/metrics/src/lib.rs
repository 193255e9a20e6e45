//! How close a reconstruction is to the ground truth: PSNR and SSIM.
//!
//! Both take images `[C, H, W]` in the workspace's [-1, 1] and scale to [0, 1] inside, so that the peak is 1. The
//! prediction is clamped to [-1, 1] first, as it would be when written to a file; a ground truth outside of that range
//! is an error, because then one of the two images is most likely on another scale. Sums are taken in `f64`.

mod error;
mod pixel;
mod structural;

pub use error::MetricError;
pub use pixel::psnr;
pub use structural::ssim;
