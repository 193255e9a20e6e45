//! The images that a training reads.

use std::path::Path;

use anyhow::{Result, ensure};
use imaging::PixelSet;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

/// Reads the images of one part of a data set, `[3, size, size]` each, with a bar that shows how far it is; says how
/// many were made to fit, and what was passed over.
///
/// # Errors
///
/// As [`imaging::load_split`].
pub fn read_split(data: &Path, split: &str, size: usize) -> Result<PixelSet> {
    let bar = bar(0, "{msg} {wide_bar} {pos}/{len}").with_message(format!("reading {split}"));
    let read = imaging::load_split(data, split, size, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let set = read?;
    for line in set.remarks() {
        program::print(&format!("{split}: {line}"));
    }
    Ok(set)
}

/// A progress bar of `length` steps, drawn as `template` says (indicatif's).
#[must_use]
pub fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// What tells a data set from another one: the number of images of both parts, and the first 16 digits of the SHA-256
/// of their pixels. Folder or zip file, and the files' names, make no difference.
#[must_use]
pub fn fingerprint(train: &PixelSet, test: &PixelSet) -> String {
    let mut digest = Sha256::new();
    digest.update(&train.pixels);
    digest.update(&test.pixels);
    let digits: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{} and {} images, {digits}", train.count, test.count)
}

/// A training goes on with the images that it began with: the batches are drawn by their places, and the best
/// validation loss so far is compared with the next one. `before` is none in checkpoints that do not say.
///
/// # Errors
///
/// Other images; the message says how to train on them.
pub fn require_same_data(before: Option<&str>, now: &str) -> Result<()> {
    let before = before.unwrap_or(now);
    ensure!(
        before == now,
        "cannot resume with other images: the training began with {before}, and --data has {now} (training images, \
         test images, and what their pixels sum up to); name the data set it began with, or train on the new one from \
         these weights, into another folder"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pixels: &[u8]) -> PixelSet {
        PixelSet {
            names: Vec::new(),
            pixels: pixels.to_vec(),
            count: pixels.len() / 3,
            size: 1,
            ..PixelSet::default()
        }
    }

    #[test]
    fn other_pixels_are_other_data() {
        let (train, test) = (set(&[1, 2, 3, 4, 5, 6]), set(&[7, 8, 9]));
        let known = fingerprint(&train, &test);
        assert!(known.starts_with("2 and 1 images, "), "{known}");
        assert!(require_same_data(Some(&known), &fingerprint(&train, &test)).is_ok());
        assert!(require_same_data(None, &known).is_ok());
        let other = fingerprint(&set(&[1, 2, 3, 4, 5, 7]), &test);
        let refused =
            require_same_data(Some(&known), &other).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(
            refused.contains("other images") && refused.contains(&other),
            "{refused}"
        );
    }
}
