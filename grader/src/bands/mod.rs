//! The points of each check, and what figures of images have to reach: read from a file, and measured.

pub mod calibrate;
pub mod thresholds;
