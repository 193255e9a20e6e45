//! Does a distance see what people see? Images are spoiled in known ways and strengths, and measured.
//!
//! * [`sweep`]: does the distance grow with the strength of a distortion?
//! * [`at_equal_psnr`]: how far apart are distortions that the mean squared error takes for equal?
//!
//! The program `lpips-study` drives it.

mod distortions;

use metrics::{Lpips, psnr, ssim};
use ndarray::Array3;

pub use distortions::Distortion;

/// The means over the images of what a distortion did at one strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    /// In dB.
    pub psnr: f64,
    /// 1 for equal images.
    pub ssim: f64,
    /// 0 for equal images.
    pub lpips: f64,
}

/// One distortion at all its strengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The distortion.
    pub distortion: Distortion,
    /// The means at each strength.
    pub means: Vec<Means>,
    /// Spearman's rank correlation of strength with PSNR, SSIM and LPIPS, the mean over the images: -1, -1 and 1 are
    /// what a measure without fault reaches.
    pub rank_correlation: Means,
    /// The fraction of the images for which LPIPS grew at every step.
    pub always_growing: f64,
}

/// What is left to chance differs from image to image, and is the same in every study.
fn seed(image: usize) -> u64 {
    1 + image as u64
}

fn measure(lpips: &Lpips, spoiled: &Array3<f32>, truth: &Array3<f32>) -> anyhow::Result<Means> {
    Ok(Means {
        psnr: psnr(spoiled, truth)?,
        ssim: ssim(spoiled, truth)?,
        lpips: lpips.distance(spoiled, truth)?,
    })
}

fn mean(values: impl Iterator<Item = Means> + Clone) -> Means {
    let count = values.clone().count() as f64;
    let of = |part: fn(&Means) -> f64| values.clone().map(|means| part(&means)).sum::<f64>() / count;
    Means {
        psnr: of(|m| m.psnr),
        ssim: of(|m| m.ssim),
        lpips: of(|m| m.lpips),
    }
}

/// Spoils each image `[3, H, W]` with each strength of `distortion` and measures what came of it.
///
/// # Errors
///
/// Images that cannot be compared, see [`Lpips::distance`].
pub fn sweep(lpips: &Lpips, images: &[Array3<f32>], distortion: Distortion) -> anyhow::Result<Sweep> {
    let strengths = distortion.strengths();
    let mut measured = Vec::with_capacity(images.len());
    for (index, truth) in images.iter().enumerate() {
        let at = |strength: &f32| measure(lpips, &distortion.apply(truth, *strength, seed(index))?, truth);
        measured.push(strengths.iter().map(at).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let of_image = |means: &Vec<Means>| {
        let rank = |part: fn(&Means) -> f64| spearman(&means.iter().map(part).collect::<Vec<_>>());
        Means {
            psnr: rank(|m| m.psnr),
            ssim: rank(|m| m.ssim),
            lpips: rank(|m| m.lpips),
        }
    };
    let growing = measured
        .iter()
        .filter(|means| means.is_sorted_by(|a, b| a.lpips < b.lpips))
        .count();
    Ok(Sweep {
        distortion,
        means: (0..strengths.len())
            .map(|s| mean(measured.iter().map(|means| means[s])))
            .collect(),
        rank_correlation: mean(measured.iter().map(of_image)),
        always_growing: growing as f64 / images.len() as f64,
    })
}

/// Spearman's rank correlation of `values` with their positions: the correlation of the ranks, equal values sharing
/// theirs.
fn spearman(values: &[f64]) -> f64 {
    let rank = |value: f64| {
        let (below, equal) = values.iter().fold((0, 0), |(below, equal), other| {
            (
                below + usize::from(*other < value),
                equal + usize::from(*other == value),
            )
        });
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let pairs = values
        .iter()
        .enumerate()
        .map(|(position, value)| (position as f64 - middle, rank(*value) - middle));
    let sum = |f: fn((f64, f64)) -> f64| pairs.clone().map(f).sum::<f64>();
    sum(|(a, b)| a * b)
        / (sum(|(a, _)| a * a) * sum(|(_, b)| b * b))
            .sqrt()
            .max(f64::MIN_POSITIVE)
}

/// Distortions that PSNR takes for equally bad.
#[derive(Debug, Clone, PartialEq)]
pub struct EqualPsnr {
    /// The distortion.
    pub distortion: Distortion,
    /// The means over the images, where PSNR is what was asked for.
    pub means: Means,
    /// The fraction of the images for which LPIPS finds this distortion worse than the first of the list.
    pub worse_than_first: f64,
}

/// Spoils each image with each distortion, at the strength that brings it to `target` dB, and measures SSIM and LPIPS.
/// An image that some distortion cannot bring there (a blur, where there is nothing to blur) is left out; the number of
/// those that are left is returned too.
///
/// # Errors
///
/// Images that cannot be compared; a distortion whose strengths are whole numbers.
pub fn at_equal_psnr(
    lpips: &Lpips,
    images: &[Array3<f32>],
    distortions: &[Distortion],
    target: f64,
) -> anyhow::Result<(Vec<EqualPsnr>, usize)> {
    let mut measured: Vec<Vec<Means>> = Vec::new();
    for (index, truth) in images.iter().enumerate() {
        let mut of_image = Vec::new();
        for distortion in distortions {
            match spoil_to(truth, *distortion, target, seed(index))? {
                Some(spoiled) => of_image.push(measure(lpips, &spoiled, truth)?),
                None => break,
            }
        }
        if of_image.len() == distortions.len() {
            measured.push(of_image);
        }
    }
    let rows = distortions.iter().enumerate().map(|(d, distortion)| EqualPsnr {
        distortion: *distortion,
        means: mean(measured.iter().map(|of_image| of_image[d])),
        worse_than_first: measured
            .iter()
            .filter(|of_image| of_image[d].lpips > of_image[0].lpips)
            .count() as f64
            / measured.len() as f64,
    });
    Ok((rows.collect(), measured.len()))
}

/// The strength is found by bisection: PSNR falls as it grows. None where the strongest distortion is still too mild.
fn spoil_to(
    truth: &Array3<f32>,
    distortion: Distortion,
    target: f64,
    seed: u64,
) -> anyhow::Result<Option<Array3<f32>>> {
    anyhow::ensure!(
        distortion.is_continuous(),
        "{} has whole strengths only",
        distortion.name()
    );
    let (mut weak, mut strong) = (0.0, 2.0 * distortion.strengths()[4]);
    if distortion == Distortion::Contrast {
        strong = 1.0;
    }
    let mut spoiled = distortion.apply(truth, strong, seed)?;
    if psnr(&spoiled, truth)? > target {
        return Ok(None);
    }
    for _ in 0..20 {
        let middle = 0.5 * (weak + strong);
        spoiled = distortion.apply(truth, middle, seed)?;
        if psnr(&spoiled, truth)? > target {
            weak = middle
        } else {
            strong = middle
        }
    }
    Ok(Some(spoiled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_compared_and_not_values() {
        assert_eq!(spearman(&[1.0, 2.0, 50.0, 51.0, 1e9]), 1.0);
        assert_eq!(spearman(&[5.0, 4.0, 3.0, 2.0, -7.0]), -1.0);
        // Ranks 0, 2, 1, 3 against 0, 1, 2, 3: 1 - 6 * 2 / (4 * 15) = 0.8.
        approx::assert_abs_diff_eq!(spearman(&[0.0, 2.0, 1.0, 3.0]), 0.8, epsilon = 1e-12);
        assert_eq!(spearman(&[1.0, 1.0, 1.0]), 0.0);
    }

    #[test]
    fn every_distortion_does_more_at_a_greater_strength_and_the_same_twice() -> anyhow::Result<()> {
        let image = Array3::from_shape_fn((3, 32, 32), |(c, y, x)| {
            0.8 * ((x * x + 3 * y + 5 * c) as f32 * 0.11).sin()
        });
        for distortion in Distortion::ALL {
            let distance =
                |strength| -> anyhow::Result<f64> { Ok(-psnr(&distortion.apply(&image, strength, 3)?, &image)?) };
            let [least, .., most] = distortion.strengths();
            assert!(distance(least)? < distance(most)?, "{}", distortion.name());
            assert_eq!(distortion.apply(&image, most, 3)?, distortion.apply(&image, most, 3)?);
        }
        Ok(())
    }
}
