//! The three metrics against the packages that define them.

mod lpips;
mod psnr_ssim;
mod published;
