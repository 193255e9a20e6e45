//! Whether what a sampler adds in its steps is fresh standard normal noise.
//!
//! Each test is sharp where many numbers are pooled: those of all images and all steps together.

use ndarray::{Array2, Array4};

/// Means, variances and correlations may be off by so many of their standard deviations.
const DEVIATIONS: f64 = 6.0;
/// The distance of Kolmogorov and Smirnov may be so many times `1 / sqrt(n)`: it is larger once in a billion times.
const DISTANCE: f64 = 3.3;
/// So many numbers, taken evenly from all, are compared with the normal distribution.
const MOST_SORTED: usize = 200_000;

/// All noises together must be standard normal and independent of each other.
pub fn wrong_noise(noises: &[(String, Array4<f32>)]) -> Option<String> {
    for (what, z) in noises {
        let (mean, variance) = moments(z.iter());
        if is_off(mean, variance, z.len()) {
            return Some(format!(
                "In {what}, what is left after the formula should be fresh standard normal noise, but its mean is \
                 {mean:.3} and its variance {variance:.3}. It is what x_(t-1) - mean leaves, over sigma_t."
            ));
        }
    }
    repeated(noises)
        .or_else(|| wrong_in_all(noises))
        .or_else(|| wrong_neighbours(noises))
}

fn is_off(mean: f64, variance: f64, count: usize) -> bool {
    let n = count as f64;
    !(mean.abs() <= DEVIATIONS / n.sqrt() && (variance - 1.0).abs() <= DEVIATIONS * (2.0 / n).sqrt())
}

/// The first noise that an image shares with another image or another step, also with the sign changed.
fn repeated(noises: &[(String, Array4<f32>)]) -> Option<String> {
    let owners: Vec<(usize, usize)> = noises
        .iter()
        .enumerate()
        .flat_map(|(step, (_, z))| (0..z.dim().0).map(move |image| (step, image)))
        .collect();
    let length = noises.first().map_or(0, |(_, z)| z.len() / z.dim().0.max(1));
    let values: Vec<f32> = noises.iter().flat_map(|(_, z)| z.iter().copied()).collect();
    // Rows of length 1: products of them are the cosines of their angles.
    let mut rows = Array2::from_shape_vec((owners.len(), length), values).ok()?;
    for mut row in rows.rows_mut() {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(1e-30);
        row.mapv_inplace(|value| (f64::from(value) / norm) as f32);
    }
    let cosines = rows.dot(&rows.t());
    let most = DEVIATIONS / (length as f64).sqrt();
    for (later, &(step, image)) in owners.iter().enumerate() {
        for (earlier, &(step_before, _)) in owners[..later].iter().enumerate() {
            if f64::from(cosines[[later, earlier]]).abs() <= most {
                continue;
            }
            let what = &noises[step].0;
            return Some(match step - step_before {
                0 => format!("In {what}, images of the batch got the same noise: draw for each image."),
                1 => format!("In {what}, the noise is that of the step before: draw it anew in each step."),
                _ => format!(
                    "In {what}, image {image} got noise that was there before, in {}: draw it anew for each image in \
                     each step.",
                    noises[step_before].0
                ),
            });
        }
    }
    None
}

/// Mean, variance and distribution of all numbers together.
fn wrong_in_all(noises: &[(String, Array4<f32>)]) -> Option<String> {
    let all = || noises.iter().flat_map(|(_, z)| z.iter());
    let count = all().count();
    let (mean, variance) = moments(all());
    if is_off(mean, variance, count) {
        return Some(format!(
            "What is left of all steps after their formula should be standard normal noise, but its mean is {mean:.4} \
             and its variance {variance:.4}."
        ));
    }
    let mut sorted: Vec<f32> = all().step_by(count.div_ceil(MOST_SORTED).max(1)).copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let n = sorted.len() as f64;
    let distance = sorted.iter().enumerate().fold(0f64, |largest, (index, value)| {
        let (below, expected) = (index as f64 / n, normal_cdf(f64::from(*value)));
        largest
            .max((expected - below).abs())
            .max((below + 1.0 / n - expected).abs())
    });
    (distance > DISTANCE / n.sqrt()).then(|| {
        format!(
            "What is left of all steps after their formula has the mean 0 and the variance 1, but it is not normally \
             distributed: its distribution is off by {distance:.3}. Draw from StandardNormal."
        )
    })
}

/// A correlation of each number with its neighbour in a channel, a row or a column, all images and steps together.
fn wrong_neighbours(noises: &[(String, Array4<f32>)]) -> Option<String> {
    for (axis, name) in [(1, "channels"), (2, "rows"), (3, "columns")] {
        let (mut sum, mut count) = (0.0, 0usize);
        for (_, z) in noises {
            if z.shape()[axis] < 2 {
                continue;
            }
            let ahead = z.slice_axis(ndarray::Axis(axis), (1..).into());
            let behind = z.slice_axis(ndarray::Axis(axis), (..-1).into());
            sum += ahead
                .iter()
                .zip(&behind)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>();
            count += ahead.len();
        }
        // For independent standard normal numbers the products have the mean 0 and the variance 1.
        if sum.abs() > DEVIATIONS * (count as f64).sqrt() {
            return Some(format!(
                "The noise of neighbouring {name} is not independent: their correlation is {:.3}. Draw a number for \
                 each pixel and channel.",
                sum / count as f64
            ));
        }
    }
    None
}

fn moments<'v>(values: impl Iterator<Item = &'v f32> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, values.map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n)
}

/// The standard normal distribution function, to 1e-7 (Abramowitz and Stegun, 26.2.17).
fn normal_cdf(x: f64) -> f64 {
    const B: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let polynomial = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let tail = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The cosine of the angle between two lists of numbers.
pub fn correlation<'v>(one: impl Iterator<Item = &'v f32>, other: impl Iterator<Item = &'v f32>) -> f64 {
    let (mut dot, mut squares) = (0.0, (0.0, 0.0));
    for (a, b) in one.zip(other) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        squares = (squares.0 + a * a, squares.1 + b * b);
    }
    dot / (squares.0 * squares.1).sqrt().max(1e-30)
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, s};
    use ndarray_rand::RandomExt;
    use ndarray_rand::rand_distr::StandardNormal;

    use super::*;
    use crate::secret::Secret;

    /// The noises of 20 steps of four small images, as in the sampler checks.
    fn noises(seed: u64) -> Vec<(String, Array4<f32>)> {
        let rng = &mut Secret::known(seed).rng();
        let of_step = |step| {
            (
                format!("step {step}"),
                Array4::random_using((4, 3, 6, 5), StandardNormal, &mut *rng),
            )
        };
        (0..20).map(of_step).collect()
    }

    #[test]
    fn normal_noise_is_right() {
        for seed in 0..50 {
            assert_eq!(wrong_noise(&noises(seed)), None, "seed {seed}");
        }
    }

    #[test]
    fn what_only_looks_like_noise_is_wrong() {
        type Change = fn(&mut Array4<f32>);
        let changes: [(&str, Change); 7] = [
            ("signs", |z| z.mapv_inplace(f32::signum)),
            ("three values", |z| {
                z.mapv_inplace(|v| {
                    if v.abs() > 0.9674 {
                        v.signum() * 3f32.sqrt()
                    } else {
                        0.0
                    }
                });
            }),
            ("uniform", |z| {
                z.mapv_inplace(|v| ((2.0 * normal_cdf(v.into()) - 1.0) * 3f64.sqrt()) as f32);
            }),
            ("0.9 of it", |z| z.mapv_inplace(|v| 0.9 * v)),
            ("1.1 of it", |z| z.mapv_inplace(|v| 1.1 * v)),
            ("a number for all channels", |z| {
                let first = z.index_axis(Axis(1), 0).to_owned();
                z.axis_iter_mut(Axis(1)).for_each(|mut channel| channel.assign(&first));
            }),
            ("opposite pairs of images", |z| {
                let first = z.slice(s![..2, .., .., ..]).mapv(|v| -v);
                z.slice_mut(s![2.., .., .., ..]).assign(&first);
            }),
        ];
        for (name, change) in changes {
            let mut changed = noises(1);
            changed.iter_mut().for_each(|(_, z)| change(z));
            assert!(wrong_noise(&changed).is_some(), "{name}");
        }
        let mut two_in_turn = noises(2);
        for step in 2..two_in_turn.len() {
            two_in_turn[step].1 = two_in_turn[step % 2].1.clone();
        }
        let said = wrong_noise(&two_in_turn).unwrap_or_default();
        assert!(said.contains("was there before, in step 0"), "{said}");
    }

    #[test]
    fn the_distribution_function_is_that_of_tables() {
        for (x, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (-1.96, 0.024_997_895),
            (3.0, 0.998_650_102),
        ] {
            assert!((normal_cdf(x) - expected).abs() < 2e-7, "{x}");
        }
    }
}
