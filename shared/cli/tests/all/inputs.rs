//! What is read, what is said of it, and that nothing is written over it.

use std::fs;
use std::path::Path;

use anyhow::Result;
use image::{Rgb, RgbImage};

use crate::probe::run;

fn picture(path: &Path, size: u32) -> Result<()> {
    Ok(RgbImage::from_fn(size, size, |x, y| Rgb([(3 * x) as u8, (3 * y) as u8, 90])).save(path)?)
}

#[test]
fn figures_are_not_written_among_the_images() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("deep"))?;
    let mine = photos.join("reconstructions.png");
    picture(&mine, 64)?;
    let before = fs::read(&mine)?;
    for out in ["photos", "photos/deep", "photos/new"] {
        let ran = run(folder.path(), &["--images", "photos", "--out", out])?;
        assert!(
            ran.status == 2 && ran.err.contains("name another folder with --out"),
            "{}",
            ran.err
        );
        assert!(!photos.join("new").exists());
    }
    // One file of the folder: its name alone is taken.
    for flags in [["--out", "photos"], ["--json", "photos/reconstructions.png"]] {
        let ran = run(
            folder.path(),
            &[
                &["--images", "photos/reconstructions.png", "--operator", "inpainting"],
                &flags[..],
            ]
            .concat(),
        )?;
        assert!(ran.status == 2 && ran.err.contains("which was read"), "{}", ran.err);
    }
    assert_eq!(fs::read(&mine)?, before);
    Ok(())
}

/// Eight images that have to be resized, two files that are none, and a broken image that nobody asked for.
#[test]
fn what_is_read_is_told_in_few_lines() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let photos = folder.path().join("photos");
    fs::create_dir(&photos)?;
    for number in 0..8 {
        picture(&photos.join(format!("{number}.png")), 32)?;
    }
    for name in ["a.heic", "b.tif", "z.png"] {
        fs::write(photos.join(name), "something else")?;
    }
    let flags = ["--images", "photos", "--operator", "inpainting", "--count", "8"];
    let ran = run(folder.path(), &flags)?;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let said = |line: &str| ran.err.lines().any(|said| said == line);
    assert!(said("2 files passed over: .heic, .tif"), "{}", ran.err);
    assert!(said("the first 8 of 9 images; more with --count"), "{}", ran.err);
    assert!(
        said("8 of 8 images were made to fit, the first so: 0.png: 32x32 resized to 64x64"),
        "{}",
        ran.err
    );
    let ran = run(folder.path(), &["--images", "photos", "--count", "9"])?;
    assert!(ran.status == 2 && ran.err.contains("photos/z.png"), "{}", ran.err);
    Ok(())
}

#[test]
fn what_a_mask_removes_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mask = folder.path().join("mask.png");
    RgbImage::from_fn(64, 64, |x, _| Rgb(if x < 16 { [255, 0, 0] } else { [255; 3] })).save(&mask)?;
    let ran = run(
        folder.path(),
        &["--count", "1", "--operator", "mask:mask.png", "inpainting:1"],
    )?;
    assert!(ran.err.contains("removes 1024 of 4096 pixels"), "{}", ran.err);
    assert!(ran.err.contains("it is not grey"), "{}", ran.err);
    assert!(
        ran.err.contains("warning: inpainting:1: nothing of an image is left"),
        "{}",
        ran.err
    );
    Ok(())
}

#[test]
fn a_batch_that_memory_is_not_granted_for_ends_with_advice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    picture(&folder.path().join("a.png"), 64)?;
    let many = vec!["a.png"; 1024];
    let flags = [&["--images"], &many[..], &["--count", "1024", "--batch", "1024"]].concat();
    let ran = crate::probe::run_with_memory(folder.path(), &flags, 2 << 20)?;
    assert!(
        ran.status == 2 && ran.err.contains("name a smaller --batch"),
        "{}",
        ran.err
    );
    Ok(())
}
