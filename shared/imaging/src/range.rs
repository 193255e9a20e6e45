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

/// The standard deviation on the [0, 1] scale of noise whose standard deviation is `sigma` on [-1, 1]: half of it.
#[must_use]
pub fn std_to_unit(sigma: f32) -> f32 {
    sigma / 2.0
}

/// The standard deviation on the [-1, 1] scale of noise whose standard deviation is `sigma` on [0, 1]: twice it.
#[must_use]
pub fn std_from_unit(sigma: f32) -> f32 {
    sigma * 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        for byte in 0..=255 {
            assert_eq!(to_byte(from_byte(byte)), byte);
        }
        assert_eq!(from_byte(0), -1.0);
        assert_eq!(from_byte(255), 1.0);
    }

    #[test]
    fn pixels_outside_the_range_are_clamped() {
        assert_eq!(to_byte(-7.0), 0);
        assert_eq!(to_byte(1.01), 255);
    }

    /// The classic slip of this field: 0.05 on [-1, 1] is 0.025 on [0, 1], that is 6.375 of 255 byte levels, not 12.75.
    #[test]
    fn sigma_on_the_signed_scale_is_twice_that_on_the_unit_scale() {
        assert_eq!(std_to_unit(0.05), 0.025);
        assert_eq!(std_from_unit(std_to_unit(0.05)), 0.05);
        let levels: f32 = (20..230)
            .map(|byte| f32::from(to_byte(from_byte(byte) + 0.05)) - f32::from(byte))
            .sum::<f32>()
            / 210.0;
        assert!(
            (levels - 0.025 * 255.0).abs() < 0.5,
            "0.05 moved a pixel by {levels} byte levels, expected 6.375"
        );
    }
}
