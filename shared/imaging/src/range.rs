//! The one place where bytes and the workspace's [-1, 1] pixels meet.

/// The pixel in [-1, 1] of a byte: `x = byte / 127.5 - 1`.
#[must_use]
pub fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// The byte of a pixel in [-1, 1]: clamped, then rounded to the nearest.
#[must_use]
pub fn to_byte(pixel: f32) -> u8 {
    ((pixel.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}
