//! What a file says of itself beside its pixels: the meaning of its colours, and which way up it is.

use std::fs;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage};
use imaging::{NamedImage, load_images, to_byte};
use moxcms::ColorProfile;
use tempfile::TempDir;

use crate::common::Result;

fn load(name: &str, bytes: &[u8], size: usize) -> Result<NamedImage> {
    let folder = TempDir::new()?;
    let path = folder.path().join(name);
    fs::write(&path, bytes)?;
    load_images(&[path], size)?.pop().ok_or_else(|| "no image".into())
}

fn png_with_profile(image: &DynamicImage, profile: Vec<u8>) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile)?;
    image.write_with_encoder(encoder)?;
    Ok(bytes.into_inner())
}

fn pixel(image: &NamedImage) -> [u8; 3] {
    [0, 1, 2].map(|channel| to_byte(image.pixels[[channel, 0, 0]]))
}

/// sRGB's purest red is (234, 51, 35) in Display P3: the two gamuts' matrices say so.
#[test]
fn colours_of_another_profile_become_srgb_and_that_is_said() -> Result {
    let red = DynamicImage::from(RgbImage::from_pixel(8, 8, Rgb([234, 51, 35])));
    let profile = ColorProfile::new_display_p3().encode()?;
    let image = load("wide.png", &png_with_profile(&red, profile.clone())?, 8)?;
    let [r, g, b] = pixel(&image);
    assert!(r >= 253 && g <= 6 && b <= 6, "{:?}", pixel(&image));
    let said = image.adapted.unwrap_or_default();
    assert!(said.contains("colours converted from") && said.contains("P3"), "{said}");

    // Where the image is resized, both are said.
    let image = load("wide.png", &png_with_profile(&red, profile)?, 4)?;
    let said = image.adapted.unwrap_or_default();
    assert!(said.starts_with("8x8 resized to 4x4; colours converted"), "{said}");
    Ok(())
}

#[test]
fn srgb_stays_byte_for_byte() -> Result {
    let colours = DynamicImage::from(RgbImage::from_fn(16, 16, |x, y| {
        Rgb([(x * 17) as u8, (y * 17) as u8, (x * y) as u8])
    }));
    let with = load(
        "with.png",
        &png_with_profile(&colours, ColorProfile::new_srgb().encode()?)?,
        16,
    )?;
    let mut plain = Cursor::new(Vec::new());
    colours.write_to(&mut plain, image::ImageFormat::Png)?;
    let without = load("without.png", plain.get_ref(), 16)?;
    assert_eq!((with.pixels, with.adapted), (without.pixels, None));
    Ok(())
}

#[test]
fn a_grey_profile_is_used_and_a_broken_one_told() -> Result {
    let grey = DynamicImage::from(image::GrayImage::from_pixel(4, 4, image::Luma([128])));
    // Linear light: half of it is the sRGB level 188.
    let linear = ColorProfile::new_gray_with_gamma(1.0).encode()?;
    let image = load("linear.png", &png_with_profile(&grey, linear)?, 4)?;
    let [r, g, b] = pixel(&image);
    assert!((187..=189).contains(&r) && r == g && g == b, "{:?}", pixel(&image));

    let image = load("broken.png", &png_with_profile(&grey, b"no profile".to_vec())?, 4)?;
    assert_eq!(pixel(&image), [128; 3]);
    let said = image.adapted.unwrap_or_default();
    assert!(said.contains("colour profile cannot be read"), "{said}");
    Ok(())
}

/// A block that says nothing but the orientation: a quarter turn, as a camera writes when it is held upright.
fn quarter_turn() -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    exif
}

/// White to the left and black to the right becomes white above and black below.
#[test]
fn the_orientation_counts_in_every_format_that_has_one() -> Result {
    let lying = DynamicImage::from(RgbImage::from_fn(16, 16, |x, _| Rgb([if x < 8 { 255 } else { 0 }; 3])));
    let with_name = [b"Exif\0\0".to_vec(), quarter_turn()].concat();
    let mut files = Vec::new();
    for exif in [quarter_turn(), with_name] {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif.clone())?;
        lying.write_with_encoder(encoder)?;
        files.push(("a.png", bytes.into_inner()));

        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = WebPEncoder::new_lossless(&mut bytes);
        encoder.set_exif_metadata(exif)?;
        lying.write_with_encoder(encoder)?;
        files.push(("a.webp", bytes.into_inner()));
    }
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
    encoder.set_exif_metadata(quarter_turn())?;
    lying.write_with_encoder(encoder)?;
    files.push(("a.jpg", bytes.into_inner()));

    for (name, bytes) in files {
        let image = load(name, &bytes, 16)?;
        assert!(
            image.pixels[[0, 1, 14]] > 0.9 && image.pixels[[0, 14, 1]] < -0.9,
            "{name}"
        );
    }
    Ok(())
}
