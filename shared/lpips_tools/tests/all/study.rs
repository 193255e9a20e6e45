//! The study of the embedded LPIPS, small, on the images that ship with the repository; the whole of it is in
//! `data/lpips/embedded/README.md`.

use std::path::Path;

use lpips_tools::study::{Distortion, at_equal_psnr, sweep};
use metrics::{Lpips, psnr};
use ndarray::Array3;

/// Four of the shipped images, spread over all of them.
fn images() -> Vec<Array3<f32>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/images");
    let images = imaging::load_images(&[folder], 64).expect("the shipped images");
    images.into_iter().step_by(4).map(|image| image.pixels).collect()
}

#[test]
fn the_distance_grows_with_the_strength_of_every_distortion() -> anyhow::Result<()> {
    let (lpips, images) = (Lpips::embedded()?, images());
    assert!(images.len() >= 4);
    for distortion in Distortion::ALL {
        let result = sweep(&lpips, &images, distortion)?;
        let distances: Vec<f64> = result.means.iter().map(|means| means.lpips).collect();
        assert!(
            distances.is_sorted_by(|a, b| a < b),
            "{}: {distances:?}",
            distortion.name()
        );
        // One pair of neighbours out of order in one of five strengths makes 0.9.
        let correlation = result.rank_correlation.lpips;
        assert!(
            correlation >= 0.9,
            "{}: rank correlation {correlation}",
            distortion.name()
        );
    }
    Ok(())
}

#[test]
fn at_equal_psnr_blur_is_worse_than_a_change_of_brightness() -> anyhow::Result<()> {
    let (lpips, images) = (Lpips::embedded()?, images());
    for target in [30.0, 25.0] {
        let (rows, count) = at_equal_psnr(&lpips, &images, &[Distortion::Brightness, Distortion::Blur], target)?;
        assert_eq!(count, images.len(), "an image could not be brought to {target} dB");
        for row in &rows {
            assert!(
                (row.means.psnr - target).abs() < 0.05,
                "{}: {} dB",
                row.distortion.name(),
                row.means.psnr
            );
        }
        let (brightness, blur) = (rows[0].means.lpips, rows[1].means.lpips);
        assert!(
            blur > brightness,
            "at {target} dB: blur {blur}, brightness {brightness}"
        );
        assert_eq!(rows[1].worse_than_first, 1.0, "at {target} dB not on every image");
    }
    Ok(())
}

#[test]
fn a_distortion_of_whole_strengths_cannot_be_brought_to_a_psnr() {
    let image = Array3::from_shape_fn((3, 32, 32), |(_, y, x)| ((x + y) % 5) as f32 / 5.0);
    assert!(psnr(&image, &image).is_ok_and(f64::is_infinite));
    let lpips = Lpips::embedded().expect("the embedded weights");
    assert!(at_equal_psnr(&lpips, &[image], &[Distortion::Shift], 20.0).is_err());
}
