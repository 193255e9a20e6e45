//! Files that are cut off, changed or enormous: named, never a panic, never a picture that is not theirs.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use imaging::{load_images, load_split};
use ndarray::Array3;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::common::Result;

/// Changed files for each sound one; all of them take two seconds.
const CHANGED: usize = 400;

/// A sound file of each kind that is read.
fn sound() -> Result<Vec<(String, Vec<u8>)>> {
    let picture = DynamicImage::from(RgbImage::from_fn(48, 40, |x, y| {
        Rgb([(x * 5) as u8, (y * 6) as u8, ((x * y) % 256) as u8])
    }));
    let mut files = Vec::new();
    for (extension, format) in [
        ("png", ImageFormat::Png),
        ("jpg", ImageFormat::Jpeg),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("gif", ImageFormat::Gif),
    ] {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format)?;
        files.push((format!("made.{extension}"), bytes.into_inner()));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["progressive.jpg", "restarts.jpg", "lossy.webp"] {
        files.push((name.to_owned(), fs::read(folder.join(name))?));
    }
    Ok(files)
}

/// What comes of a file with these bytes, and the message where nothing does.
fn read(folder: &TempDir, name: &str, bytes: &[u8]) -> Result<std::result::Result<Array3<f32>, String>> {
    let path = folder.path().join(name);
    fs::write(&path, bytes)?;
    let mut images = match load_images(&[path], 40) {
        Ok(images) => images,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(images.pop().map(|image| image.pixels).ok_or("no image".into()))
}

/// Both ways of reading: a user's own images, and a data set's.
#[test]
fn a_file_that_was_cut_off_is_refused_by_name_wherever_it_was_cut() -> Result {
    let folder = TempDir::new()?;
    let set = TempDir::new()?;
    fs::create_dir(set.path().join("train"))?;
    for (name, bytes) in sound()? {
        assert!(read(&folder, &name, &bytes)?.is_ok(), "{name}");
        // The end of a file may be no more than a mark, of up to twelve bytes.
        let end = bytes.len() - if name.ends_with("jpg") { 1 } else { 14 };
        for cut in (0..end).step_by(end / 60 + 1).chain([end]) {
            let message = read(&folder, &name, &bytes[..cut])?.err().unwrap_or_default();
            assert!(
                message.contains("cannot read the image") && message.contains(&name),
                "{name}, {cut} of {} bytes: {message:?}",
                bytes.len()
            );
        }
        fs::write(set.path().join("train").join(&name), &bytes[..bytes.len() / 2])?;
        let refused = load_split(set.path(), "train", 40, |_, _| ());
        assert!(refused.is_err_and(|error| error.to_string().contains(&name)), "{name}");
        fs::remove_file(set.path().join("train").join(&name))?;
    }
    Ok(())
}

/// A changed byte may go unnoticed, as most formats have no checksum; what comes then is still the picture, more or
/// less, and not a black square.
#[test]
fn changed_files_are_read_or_named_and_never_come_out_black() -> Result {
    let folder = TempDir::new()?;
    let rng = &mut StdRng::seed_from_u64(0);
    for (name, bytes) in sound()? {
        for round in 0..CHANGED {
            let mut changed = bytes.clone();
            for _ in 0..rng.random_range(1..=8) {
                let place = rng.random_range(0..changed.len());
                changed[place] = rng.random();
            }
            match read(&folder, &name, &changed)? {
                Ok(pixels) => {
                    let black = pixels.iter().all(|&pixel| pixel == -1.0);
                    assert!(!black, "{name}, round {round}");
                }
                Err(message) => assert!(message.contains(&name), "{name}, round {round}: {message}"),
            }
        }
    }
    Ok(())
}

/// PNG files of a few bytes whose headers claim many pixels: grey ones, each of which is one byte in the file's own
/// terms and three in RGB.
#[test]
fn an_enormous_picture_is_refused_by_its_header_with_its_size_in_bytes() -> Result {
    let folder = TempDir::new()?;
    let mut grey = Cursor::new(Vec::new());
    DynamicImage::new_luma8(8, 8).write_to(&mut grey, ImageFormat::Png)?;
    for (side, mebibytes) in [(29_000_u32, 2_406), (12_000, 411), (65_000, 12_087)] {
        let mut bytes = grey.get_ref().clone();
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        let message = read(&folder, "huge.png", &bytes)?.err().unwrap_or_default();
        let size = format!("{side}x{side} pixels, {mebibytes} MiB once decoded, at most 400 MiB");
        assert!(
            message.contains("huge.png` is too large") && message.contains(&size),
            "{message}"
        );
    }
    Ok(())
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}
