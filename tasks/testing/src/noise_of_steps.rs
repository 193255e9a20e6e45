//! The random numbers of a sampler: the start, and what each step adds beyond its mean.

use checks::Fault;
use ndarray::{Array4, Axis};

use crate::path::Path;
use crate::sampler::{Loop, at};

/// Means, variances and correlations may be off by so many of their standard deviations.
const DEVIATIONS: f64 = 6.0;

/// `x_T` is standard normal.
///
/// - `starts`: those of several runs
///
/// # Errors
///
/// If it is not.
pub fn check_start(name: &str, starts: &[&Array4<f32>]) -> Result<(), Fault> {
    check_normal(&format!("{name}: x_T"), starts)
}

/// `x_T` is not made of the measurement.
///
/// # Errors
///
/// If it is.
pub fn check_is_not_made_of_b(name: &str, paths: &[Path]) -> Result<(), Fault> {
    let starts = |known: fn(&Path) -> Array4<f32>| {
        let is_known = |path: &Path| {
            let known = known(path);
            path.around(0).0.iter().zip(&known).all(|(a, b)| (a - b).abs() <= 1e-5)
        };
        paths.iter().all(is_known)
    };
    let back = |path: &Path| path.operator.back(&Array4::zeros(path.around(0).0.dim()), &path.b);
    for (what, known) in [
        ("A^T b", back as fn(&Path) -> Array4<f32>),
        ("operator.start_image(b)", |path| path.setting.start_image()),
    ] {
        if starts(known) {
            return Err(Fault::new(format!(
                "{name}: x_T is {what}; it should be pure noise, standard normal (task 4 starts from an image)"
            )));
        }
    }
    Ok(())
}

/// With another measurement a run of the same seed starts from the same `x_T`, if the seed alone decides: see
/// [`check_two_seeds`].
///
/// # Errors
///
/// If not.
pub fn check_is_free_of_b(name: &str, one: &Path, other: &Path) -> Result<(), Fault> {
    let (start, of_other) = (one.around(0).0, other.around(0).0);
    if start == of_other {
        return Ok(());
    }
    let largest = (start - of_other)
        .iter()
        .fold(0.0f32, |largest, v| largest.max(v.abs()));
    Err(Fault::new(format!(
        "{name}: x_T depends on the measurement b; it should be pure noise, standard normal, from `rng` alone"
    ))
    .fact(format!(
        "two runs with one seed, with two measurements, start from images that differ by up to {largest:.5}"
    )))
}

/// Arrays of standard normal numbers, each image and channel with its own.
///
/// # Errors
///
/// If they are not.
pub fn check_normal(what: &str, arrays: &[&Array4<f32>]) -> Result<(), Fault> {
    let values: Vec<f64> = arrays.iter().flat_map(|a| a.iter().map(|v| f64::from(*v))).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
    let std = moment(2).sqrt();
    let (low, high) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let numbers = format!("mean {mean:.3}, standard deviation {std:.3}, from {low:.3} to {high:.3}, in {n} numbers");
    let fault = |words: &str| Err(Fault::new(format!("{what} is not standard normal: {words}")).fact(numbers.clone()));
    if std < 1e-6 {
        return fault(&format!("all its numbers are {mean:.3}"));
    }
    for (axis, parts) in [(0, "images of the batch"), (1, "channels")] {
        let several: Vec<_> = arrays.iter().filter(|a| a.shape()[axis] > 1).collect();
        if !several.is_empty() && several.iter().all(|a| all_parts_alike(a, axis)) {
            return Err(Fault::new(format!(
                "{what} is the same for all {parts}: each is to have its own noise"
            )));
        }
    }
    let spread_evenly = |low_end: f64, width: f64| {
        let inside = low >= low_end && high <= low_end + width;
        inside && (std / width * 12f64.sqrt() - 1.0).abs() < 0.05 && high - low > 0.98 * width && n > 400.0
    };
    for (low_end, width) in [(0.0, 1.0), (-1.0, 2.0), (-0.5, 1.0)] {
        if spread_evenly(low_end, width) {
            return fault(&format!(
                "its numbers are spread evenly over [{low_end}, {}], as uniform ones are",
                low_end + width
            ));
        }
    }
    if mean.abs() > DEVIATIONS * std.max(1.0) / n.sqrt() {
        return fault(&format!("its mean is {mean:.3}, expected 0"));
    }
    if (moment(2) - 1.0).abs() > DEVIATIONS * (2.0 / n).sqrt() {
        return fault(&format!("its standard deviation is {std:.3}, expected 1"));
    }
    let kurtosis = moment(4) / moment(2).powi(2);
    if (kurtosis - 3.0).abs() > DEVIATIONS * (24.0 / n).sqrt() + 0.1 {
        return fault(&format!(
            "mean and variance are right, but the mean fourth power is {kurtosis:.2}, expected 3"
        ));
    }
    Ok(())
}

fn all_parts_alike(a: &Array4<f32>, axis: usize) -> bool {
    let first = a.index_axis(Axis(axis), 0);
    let alike = |part: ndarray::ArrayView3<'_, f32>| part.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-3);
    a.axis_iter(Axis(axis)).all(alike)
}

/// What the steps of a run added beyond their means, over `sigma_t`; of all but the last.
#[must_use]
pub fn noises(spec: &Loop, path: &Path) -> Vec<(usize, Array4<f32>)> {
    let sum = (spec.mean)();
    let steps = path
        .setting
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| !step.is_last());
    steps
        .map(|(i, step)| {
            let mean = sum.expected(&(spec.terms)(path, i));
            (i, (path.around(i).1 - &mean) / step.sigma as f32)
        })
        .collect()
}

/// Each step but the last adds fresh standard normal noise; the last adds none.
///
/// # Errors
///
/// The first fault.
pub fn check_fresh(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let (name, zs) = (spec.name, noises(spec, path));
    let start = path.around(0).0;
    let all = |is_it: &dyn Fn(usize) -> bool| (0..zs.len()).all(is_it);
    let some = |is_it: &dyn Fn(usize) -> bool| (0..zs.len()).find(|k| is_it(*k));
    let is_zero = |k: usize| zs[k].1.iter().all(|v| v.abs() < 2e-3);
    if all(&is_zero) {
        return Err(Fault::new(format!(
            "{name}: no noise is added in any step: what follows is the mean of the step, to rounding"
        )));
    }
    if let Some(k) = some(&is_zero) {
        return Err(Fault::new(format!(
            "{name}: no noise is added in {}",
            at(path, zs[k].0)
        )));
    }
    for (axis, parts) in [(0, "images"), (1, "channels")] {
        let silent = silent_parts(&zs, axis);
        if !silent.is_empty() {
            return Err(Fault::new(format!(
                "{name}: no noise is added to the {parts} {silent:?}"
            )));
        }
    }
    let is_start = |k: usize| correlation(&zs[k].1, start) > 0.999;
    if all(&is_start) {
        return Err(Fault::new(format!(
            "{name}: z is x_T again in every step: it is to be drawn anew in each"
        )));
    }
    let is_first = |k: usize| correlation(&zs[k].1, &zs[0].1) > 0.999;
    if zs.len() > 1 && all(&is_first) {
        return Err(Fault::new(format!(
            "{name}: z is the same in every step: it is to be drawn anew in each"
        )));
    }
    let repeats = |k: usize| k > 0 && correlation(&zs[k].1, &zs[k - 1].1) > 0.999;
    if let Some(k) = some(&repeats) {
        return Err(Fault::new(format!(
            "{name}: the noise of {} is that of the step before: z is to be drawn anew in each step",
            at(path, zs[k].0)
        )));
    }
    if let Some(k) = some(&|k| correlation(&zs[k].1, start) > 0.999) {
        return Err(Fault::new(format!(
            "{name}: the noise of {} is x_T again: z is to be drawn anew in each step",
            at(path, zs[k].0)
        )));
    }
    if let Some(k) = some(&|k| (0..k).any(|j| correlation(&zs[k].1, &zs[j].1) > 0.999)) {
        return Err(Fault::new(format!(
            "{name}: the noise of {} has been used in an earlier step: z is to be drawn anew in each step",
            at(path, zs[k].0)
        )));
    }
    let arrays: Vec<&Array4<f32>> = zs.iter().map(|(_, z)| z).collect();
    check_normal(&format!("{name}: z, the noise of the steps over sigma_t,"), &arrays)?;
    for (k, (i, z)) in zs.iter().enumerate() {
        let n = z.len() as f64;
        let variance = z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        if (variance - 1.0).abs() > (DEVIATIONS + 1.0) * (2.0 / n).sqrt() {
            return Err(Fault::new(format!(
                "{name}: in {} z has the variance {variance:.3}, expected 1; in most other steps it is right",
                at(path, *i)
            )));
        }
        let bound = DEVIATIONS / n.sqrt();
        let others = (0..k)
            .map(|j| ("that of an earlier step", &zs[j].1))
            .chain([("x_T", start)]);
        for (what, other) in others {
            let correlation = correlation(z, other);
            if correlation.abs() > bound {
                return Err(Fault::new(format!(
                    "{name}: the noise of {} goes with {what} (correlation {correlation:.2}): z is to be fresh",
                    at(path, *i)
                )));
            }
        }
    }
    check_end(spec, path)
}

/// The images (axis 0) or channels (axis 1) that get no noise in any step.
fn silent_parts(zs: &[(usize, Array4<f32>)], axis: usize) -> Vec<usize> {
    let count = zs.first().map_or(0, |(_, z)| z.shape()[axis]);
    let is_silent = |part: &usize| {
        let values = zs.iter().map(|(_, z)| z.index_axis(Axis(axis), *part));
        values.flatten().all(|v| v.abs() < 2e-3)
    };
    (0..count).filter(is_silent).collect()
}

/// The last step returns its mean.
fn check_end(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let last = path.setting.steps.len() - 1;
    let mut sum = (spec.mean)();
    sum.add((spec.terms)(path, last));
    sum.verdict()
}

fn correlation(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let dot =
        |a: &Array4<f32>, b: &Array4<f32>| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    if a.dim() != b.dim() {
        return 0.0;
    }
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-30)
}

/// One seed gives one result, to the bit; another seed gives other noise, in the start and in every step.
///
/// # Errors
///
/// If not.
pub fn check_two_seeds(spec: &Loop, first: &Path, again: &Path, other: &Path) -> Result<(), Fault> {
    let name = spec.name;
    if first.result() != again.result() {
        return Err(Fault::new(format!(
            "{name}: two runs with the same seed differ: random numbers are to come from `rng` alone"
        )));
    }
    if correlation(first.around(0).0, other.around(0).0) > 0.999 {
        return Err(Fault::new(format!(
            "{name}: x_T is the same with two seeds: it does not come from `rng`"
        )));
    }
    let pairs = noises(spec, first).into_iter().zip(noises(spec, other));
    for ((i, z), (_, w)) in pairs {
        if correlation(&z, &w) > 0.999 {
            return Err(Fault::new(format!(
                "{name}: z in {} is the same with two seeds: it does not come from `rng`",
                at(first, i)
            )));
        }
    }
    Ok(())
}
