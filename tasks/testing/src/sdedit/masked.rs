//! SDEdit with a mask: inside of it a step, outside of it the guide.

use checks::{Case, Fault, Monomial, Quantity, Sum};
use ndarray::{Array2, Array4};
use probe::still::Still;

use super::pairs::{Pair, check_pairs};
use super::{SDEDIT, noise_on, way};
use crate::arrays::alignment;
use crate::noise_of_steps::check_normal;
use crate::path::Path;
use crate::quantities::with_remarks;
use crate::sampler::{Loop, Take, at, quantities_on, run};
use crate::setting::Setting;
use crate::view::check_views;

const MASKED: Loop = Loop {
    name: "sdedit with a mask",
    ..SDEDIT
};

fn mask_of(setting: &Setting) -> Array2<f32> {
    let [_, height, width] = setting.shape;
    setting.mask().unwrap_or_else(|| Array2::ones((height, width)))
}

/// `x`, where the mask is 1.
#[must_use]
pub fn inside(x: &Array4<f32>, mask: &Array2<f32>) -> Array4<f32> {
    x * mask
}

/// The rest of it, where the mask is 0.
#[must_use]
pub fn outside(x: &Array4<f32>, mask: &Array2<f32>) -> Array4<f32> {
    x * &(1.0 - mask)
}

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

fn masked_sum() -> Sum {
    let sum = Sum::new(
        "sdedit with a mask, from one x_t to the next",
        "mask (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + (1 - mask) (sqrt(alpha_bar_{t-1}) guide + sqrt(1 - \
         alpha_bar_{t-1}) eps), and sigma_t z inside",
    )
    .term("x_t inside of the mask", Monomial::of(&[("alpha_t", -0.5)]))
    .term(
        "the score inside of the mask",
        Monomial::of(&[("1 - alpha_t", 1.0), ("alpha_t", -0.5)]),
    )
    .term("the noise inside of the mask", Monomial::of(&[("sigma_t", 1.0)]))
    .term(
        "the guide outside of the mask",
        Monomial::of(&[("alpha_bar_{t-1}", 0.5)]),
    )
    .term(
        "the noise outside of the mask",
        Monomial::of(&[("1 - alpha_bar_{t-1}", 0.5)]),
    )
    // Outside x_t is a sum of guide and noise itself, so that it is no term of its own.
    .term("the score outside of the mask", Monomial::zero());
    let alternatives = [
        (
            "alpha_bar_t",
            "what is put back has the noise of step.alpha_bar, where the step started; by now the images are at \
             step.alpha_bar_prev",
        ),
        (
            "alpha_bar_t of the first step",
            "what is put back has the noise of t0, steps[0].alpha_bar; by now the images are at step.alpha_bar_prev",
        ),
        (
            "alpha_bar_{t-1} of the next step",
            "what is put back has the noise of the end of the next step; the images are at this step's alpha_bar_prev",
        ),
    ];
    let sum = alternatives.into_iter().fold(sum, |sum, (name, because)| {
        sum.alternative(because, vec![("alpha_bar_{t-1}".to_owned(), name.to_owned())])
    });
    with_remarks(sum)
}

fn masked_case(path: &Path, i: usize) -> Case {
    let (setting, step) = (&path.setting, &path.setting.steps[i]);
    let (x_t, next) = path.around(i);
    let (mask, guide, known) = (mask_of(setting), setting.guide(), Still::array(x_t.dim()));
    let score = path.score(i);
    let arrays = vec![
        inside(x_t, &mask),
        inside(&score, &mask),
        inside(&known, &mask),
        outside(&guide, &mask),
        outside(&known, &mask),
        outside(&score, &mask),
    ];
    let terms = arrays.len();
    let noised = |clean: &Array4<f32>, alpha_bar: f64| {
        clean * alpha_bar.sqrt() as f32 + &known * (1.0 - alpha_bar).sqrt() as f32
    };
    let stepped =
        |x: &Array4<f32>| (x + &(&score * step.beta() as f32)) / step.alpha.sqrt() as f32 + &known * step.sigma as f32;
    let keep = |x: &Array4<f32>, clean: &Array4<f32>, alpha_bar: f64| {
        inside(x, &mask) + outside(&noised(clean, alpha_bar), &mask)
    };
    let (result, prev) = (stepped(x_t), step.alpha_bar_prev);
    let start = path.around(0).0;
    let whole = |array: Array4<f32>| -> Vec<(usize, Array4<f32>)> {
        let zeros = (1..terms).map(|k| (k, Array4::zeros(array.dim())));
        std::iter::once((0, &array * step.alpha.sqrt() as f32))
            .chain(zeros)
            .collect()
    };
    let mut quantities = quantities_on(path, i);
    quantities.push(Quantity::constant("0", 0.0));
    let case = Case::new(at(path, i), quantities, arrays, next.clone())
        .others(
            whole(result.clone()),
            "the mask is not applied: keep_outside is to come after each step, the last one included",
        )
        .others(
            whole(stepped(&keep(x_t, &guide, step.alpha_bar))),
            "keep_outside comes before the step, with step.alpha_bar; it is to come after it, with step.alpha_bar_prev",
        )
        .others(
            whole(stepped(&keep(x_t, &guide, prev))),
            "keep_outside comes before the step; it is to come after it",
        )
        .others(
            whole(keep(&guide, &result, prev)),
            "x_t and the guide have changed places in the call of keep_outside",
        )
        .others(
            whole(keep(&result, start, prev)),
            "the noised guide is put back, and so noised twice; it is to be the clean one",
        )
        .others(
            whole(inside(&result, &mask) + outside(&guide, &mask)),
            "the guide is put back clean; it needs the noise of step.alpha_bar_prev",
        )
        .others(
            whole(keep(&noised(&guide, prev), &result, 1.0)),
            "the mask is inverted: what is inside of it may change",
        )
        .others(
            whole(keep(x_t, &guide, prev)),
            "keep_outside is given the x_t from before the step; it is to get the step's result",
        )
        .others(
            whole(inside(&result, &mask) + outside(&noised(x_t, prev), &mask)),
            "x_t is noised and put back; it is to be the guide",
        )
        .others(
            whole(keep(&result, &path.x0_hat(i), prev)),
            "x0_hat is noised and put back; it is to be the guide",
        )
        .others(
            whole(inside(&result, &mask) + outside(&path.x0_hat(i), &mask)),
            "x0_hat is put back; it is to be the guide, with the noise of step.alpha_bar_prev",
        );
    let is_last = step.is_last();
    case.tag(if is_last {
        "at the last step"
    } else {
        "before the last step"
    })
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
