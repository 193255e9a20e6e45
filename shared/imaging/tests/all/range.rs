//! Bytes and pixels.

use imaging::{from_byte, to_byte};

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
    let levels: f32 = (20..230)
        .map(|byte| f32::from(to_byte(from_byte(byte) + 0.05)) - f32::from(byte))
        .sum::<f32>()
        / 210.0;
    assert!(
        (levels - 0.025 * 255.0).abs() < 0.5,
        "0.05 moved a pixel by {levels} byte levels, expected 6.375"
    );
}
