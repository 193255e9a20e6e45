//! SDEdit with a mask: inside of it a step, outside of it the guide.

use checks::Fault;
use ndarray::{Array2, Array4};

pub use super::masked_terms::{inside, outside};
use super::masked_terms::{mask_of, masked_case, masked_sum};
use super::pairs::{Pair, check_pairs};
use super::{SDEDIT, noise_on, way};
use crate::arrays::alignment;
use crate::noise_of_steps::check_normal;
use crate::path::Path;
use crate::sampler::{Loop, Take, at, run};
use crate::setting::Setting;
use crate::view::check_views;

const MASKED: Loop = Loop {
    name: "sdedit with a mask",
    ..SDEDIT
};

/// Everything that is asked of the loop.
///
/// # Errors
///
/// The first fault.
pub fn judge(take: &mut Take<'_>) -> Result<(), Fault> {
    let setting = |t0: usize, count: usize, seed: u64| Setting {
        mask: Some((seed % 3) as usize),
        ..Setting::new(way(t0, count), seed)
    };
    let settings = [
        setting(600, 12, 1),
        setting(9, 9, 2),
        setting(900, 5, 3),
        setting(300, 1, 4),
    ];
    let mut sum = masked_sum();
    let mut result = Ok(());
    for setting in &settings {
        let path = run(&MASKED, take, &setting.clone().still())?;
        for i in 0..setting.steps.len() {
            sum.add(masked_case(&path, i));
        }
        let end = "sdedit with a mask, its result";
        result = result.and(check_untouched(end, path.result(), &setting.guide(), &mask_of(setting)));
    }
    if let Some(fault) = sum.named_fault() {
        return Err(fault);
    }
    result?;
    let noisy = setting(900, 20, 5);
    let [first, again] = [(); 2].map(|()| run(&MASKED, take, &noisy));
    let (first, again) = (first?, again?);
    if first.result() != again.result() {
        return Err(Fault::new(
            "sdedit with a mask: two runs with the same seed differ: random numbers are to come from `rng` alone",
        ));
    }
    check_two_guides(&first, &run(&MASKED, take, &noisy.with_other_inputs())?)?;
    check_noise(&first)?;
    check_views(&MASKED, &first)
}

/// Where a path begins, and each step but for its noise: the step's mean inside of the mask, the guide outside.
fn check_two_guides(one: &Path, other: &Path) -> Result<(), Fault> {
    let (setting, mask) = (&one.setting, mask_of(&one.setting));
    let runs = [one, other];
    let guides = runs.map(|run| run.setting.guide());
    let start = Pair {
        at: "the first call of the model".into(),
        got: runs.map(|run| run.around(0).0.clone()),
        right: guides
            .each_ref()
            .map(|guide| guide * setting.steps[0].alpha_bar.sqrt() as f32),
    };
    let after = |i: usize| {
        let root = setting.steps[i].alpha_bar_prev.sqrt() as f32;
        let right = |k: usize| inside(&runs[k].mean_of_step(i), &mask) + outside(&guides[k], &mask) * root;
        Pair {
            at: format!("the end of {}", at(one, i)),
            got: runs.map(|run| run.around(i).1.clone()),
            right: [right(0), right(1)],
        }
    };
    let pairs: Vec<Pair> = std::iter::once(start)
        .chain((0..setting.steps.len()).map(after))
        .collect();
    check_pairs(
        "sdedit with a mask",
        "from two guides, should differ by the step's mean inside of the mask and by sqrt(alpha_bar_{t-1}) guide \
         outside",
        &pairs,
    )
}

/// The pixels where the mask is 1, or 0, in a row.
fn pixels(x: &Array4<f32>, mask: &Array2<f32>, which: f32) -> Array4<f32> {
    let (b, c, ..) = x.dim();
    let places: Vec<(usize, usize)> = mask
        .indexed_iter()
        .filter_map(|(place, value)| (*value == which).then_some(place))
        .collect();
    Array4::from_shape_fn((b, c, 1, places.len()), |(b, c, _, k)| {
        x[[b, c, places[k].0, places[k].1]]
    })
}

/// Inside and outside of the mask each step but the last has fresh standard normal noise.
fn check_noise(path: &Path) -> Result<(), Fault> {
    let (setting, steps) = (&path.setting, &path.setting.steps);
    let (mask, guide) = (mask_of(setting), setting.guide());
    let start = noise_on(path.around(0).0, &guide, steps[0].alpha_bar);
    let last = steps.len() - 1;
    let outer: Vec<Array4<f32>> = (0..last)
        .map(|i| pixels(&noise_on(path.around(i).1, &guide, steps[i].alpha_bar_prev), &mask, 0.0))
        .collect();
    let inner: Vec<Array4<f32>> = (0..last)
        .map(|i| {
            let z = (path.around(i).1 - &path.mean_of_step(i)) / steps[i].sigma as f32;
            pixels(&z, &mask, 1.0)
        })
        .collect();
    for (which, noises, where_, name) in [
        (0.0, &outer, "outside of the mask", "eps"),
        (1.0, &inner, "inside of the mask", "z"),
    ] {
        let of_start = pixels(&start, &mask, which);
        let is_again = |k: usize, other: &Array4<f32>| alignment(&noises[k], other) > 0.999;
        if let Some(k) = (0..last).find(|&k| is_again(k, &of_start)) {
            return Err(Fault::new(format!(
                "sdedit with a mask: {where_} the noise after {} is the eps that the guide was noised with at t0: \
                 {name} is to be drawn anew in each step",
                at(path, k)
            )));
        }
        if let Some(k) = (1..last).find(|&k| (0..k).any(|j| is_again(k, &noises[j]))) {
            return Err(Fault::new(format!(
                "sdedit with a mask: {where_} the noise after {} is that of an earlier step: {name} is to be drawn \
                 anew in each step",
                at(path, k)
            )));
        }
        let arrays: Vec<&Array4<f32>> = noises.iter().collect();
        let what = format!("sdedit with a mask: what is added {where_} beyond the mean, over its standard deviation,");
        check_normal(&what, &arrays)?;
    }
    Ok(())
}

/// Outside of the mask there is the image, to the bit.
///
/// # Errors
///
/// If not.
pub fn check_untouched(what: &str, got: &Array4<f32>, image: &Array4<f32>, mask: &Array2<f32>) -> Result<(), Fault> {
    let place = got
        .indexed_iter()
        .find(|((b, c, y, x), value)| mask[[*y, *x]] == 0.0 && **value != image[[*b, *c, *y, *x]]);
    let Some((at, value)) = place else { return Ok(()) };
    // What differs by more than rounding has a better reason.
    if (value - image[at]).abs() > 1e-4 {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{what}: where the mask is 0 the result is the image but for rounding; it is to be the image exactly"
    ))
    .fact(format!(
        "[image, channel, row, column] {at:?}: {value:.9} came, {:.9} expected",
        image[at]
    )))
}
