//! Whether samplers draw what they should, on a mixture with two modes of different weight and width.

use diffusion::{GaussianMixtureModel, Schedule};
use methods::samplers::ddim::Ddim;
use methods::stepping::Stepping;
use methods::{Sampler, registry};
use ndarray::{Array4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const IMAGES: usize = 4000;
const SHARE: f64 = 0.3;
/// Between the two modes, many standard deviations from each.
const BORDER: f32 = -0.1;

fn prior() -> Result<GaussianMixtureModel> {
    let schedule = Schedule::linear_with(200, 5e-4, 0.1)?;
    let (weights, means) = (array![SHARE, 1.0 - SHARE], array![[-0.7], [0.4]]);
    Ok(GaussianMixtureModel::isotropic(
        schedule,
        [1, 1, 1],
        weights,
        means,
        array![0.01, 0.02],
    )?)
}

fn draw(sampler: &dyn Sampler, num_steps: usize) -> Result<Array4<f32>> {
    let rng = &mut StdRng::seed_from_u64(8);
    Ok(sampler.sample(&prior()?, IMAGES, Stepping::new(num_steps), rng, &mut ())?)
}

fn exact() -> Result<Array4<f32>> {
    Ok(prior()?.sample(IMAGES, &mut StdRng::seed_from_u64(9)))
}

fn share_of_the_first_mode(images: &Array4<f32>) -> f64 {
    images.iter().filter(|&&x| x < BORDER).count() as f64 / images.len() as f64
}

/// Kolmogorov and Smirnov's distance between two samples of the same size: the largest difference between their
/// distribution functions.
fn ks_distance(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let sorted = |x: &Array4<f32>| {
        let mut values: Vec<f32> = x.iter().copied().collect();
        values.sort_by(f32::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let below = |values: &[f32], x: f32| values.partition_point(|value| *value <= x) as f64 / values.len() as f64;
    let differences = a.iter().chain(&b).map(|&x| (below(&a, x) - below(&b, x)).abs());
    differences.fold(0.0, f64::max)
}

/// Two samples of one distribution differ by more than this once in a million times (Smirnov 1948).
fn ks_critical(num_images: usize) -> f64 {
    let chance: f64 = 1e-6;
    (-(chance / 2.0).ln() / 2.0).sqrt() * (2.0 / num_images as f64).sqrt()
}

#[test]
fn with_all_steps_samplers_draw_from_the_mixture() -> Result {
    let exact = exact()?;
    // Five standard deviations of a binomial.
    let allowed = 5.0 * (SHARE * (1.0 - SHARE) / IMAGES as f64).sqrt();
    for sampler in registry::samplers() {
        let images = draw(*sampler, 200)?;
        let (share, distance) = (share_of_the_first_mode(&images), ks_distance(&images, &exact));
        assert!((share - SHARE).abs() < allowed, "{}: share {share}", sampler.name());
        let critical = ks_critical(IMAGES);
        assert!(distance < critical, "{}: {distance} >= {critical}", sampler.name());
    }
    Ok(())
}

/// Two exact samples pass; a sampler with too few steps, and an exact sample shifted by a third of the wider mode's
/// standard deviation, do not.
#[test]
fn the_test_of_two_samples_tells_wrong_ones() -> Result {
    let (exact, critical) = (exact()?, ks_critical(IMAGES));
    let other = prior()?.sample(IMAGES, &mut StdRng::seed_from_u64(10));
    assert!(ks_distance(&other, &exact) < critical);
    let few_steps = draw(&Ddim::DETERMINISTIC, 4)?;
    for wrong in [few_steps, other + 0.047] {
        assert!(ks_distance(&wrong, &exact) > critical);
    }
    Ok(())
}
