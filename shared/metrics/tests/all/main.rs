//! The metrics against the packages and the closed forms that define them.

mod frechet;
mod lpips;
mod psnr_ssim;
mod published;
