//! SDEdit without a mask: where it starts, and each step.

use checks::{Case, Fault, Monomial, Quantity, Sum};
use diffusion::{Schedule, StepVariance};
use ndarray::Array4;
use probe::still::Still;

use super::pairs::{Pair, check_pairs};
use super::{SDEDIT, noise_on, way};
use crate::arrays::alignment;
use crate::errors::{check_errors, failing};
use crate::formula::direct_step;
use crate::means::check_mean;
use crate::noise_of_steps::{check_fresh, check_normal, check_two_seeds, noises};
use crate::path::Path;
use crate::quantities::with_remarks;
use crate::sampler::{Take, at, quantities_on, run};
use crate::setting::Setting;
use crate::view::check_views;

/// Where the guide is noised to, and in how many steps the way back is.
const WAYS: [(usize, usize); 6] = [(600, 12), (1000, 5), (250, 10), (9, 9), (800, 4), (300, 1)];

/// Everything that is asked of the loop.
///
/// # Errors
///
/// The first fault.
pub fn judge(take: &mut Take<'_>) -> Result<(), Fault> {
    let exact = paths(take, Setting::without_noise)?;
    let still = paths(take, Setting::still)?;
    check_start(&exact, &still)?;
    check_mean(&SDEDIT, &exact)?;
    check_noise_of_steps(&still)?;
    for path in &exact {
        check_views(&SDEDIT, path)?;
    }
    let noisy = |seed: u64, variance: StepVariance| {
        let steps = way(900, 25).into_iter().map(|step| step.with_variance(variance));
        Setting::new(steps.collect(), seed)
    };
    let first = run(&SDEDIT, take, &noisy(5, StepVariance::Beta))?;
    let again = run(&SDEDIT, take, &noisy(5, StepVariance::Beta))?;
    let other = run(&SDEDIT, take, &noisy(6, StepVariance::Posterior))?;
    for path in [&first, &other] {
        check_is_not_the_start(path)?;
        check_fresh(&SDEDIT, path)?;
    }
    check_two_seeds(&SDEDIT, &first, &again, &other)?;
    check_two_guides(take, &first)?;
    check_errors(&SDEDIT, take, failing(&Setting::new(way(600, 12), 8)))
}

/// Runs on all ways.
fn paths(take: &mut Take<'_>, kind: fn(Setting) -> Setting) -> Result<Vec<Path>, Fault> {
    let of_way = |(seed, &(t0, count)): (usize, &(usize, usize))| {
        let mut setting = Setting::new(way(t0, count), 1 + seed as u64);
        if t0 == 9 {
            (setting.shape, setting.images) = ([1, 5, 7], 1);
        }
        run(&SDEDIT, take, &kind(setting))
    };
    WAYS.iter().enumerate().map(of_way).collect()
}

/// `x_{t0}`: its factors where the noise is known, else that the noise on it is standard normal.
fn check_start(exact: &[Path], still: &[Path]) -> Result<(), Fault> {
    let mut sum = start_sum();
    for path in still {
        sum.add(start_case(path));
    }
    if let Some(fault) = sum.named_fault() {
        return Err(fault);
    }
    let eps: Vec<Array4<f32>> = exact.iter().map(eps_of_start).collect();
    let eps: Vec<&Array4<f32>> = eps.iter().collect();
    check_normal(
        "sdedit: eps, that is (x_{t0} - sqrt(alpha_bar_{t0}) guide) / sqrt(1 - alpha_bar_{t0}),",
        &eps,
    )
}

/// The noise on the guide where a path starts.
fn eps_of_start(path: &Path) -> Array4<f32> {
    let alpha_bar = path.setting.steps[0].alpha_bar;
    noise_on(path.around(0).0, &path.setting.guide(), alpha_bar)
}

/// What `alpha_bar` at the start may be taken for, and what is to be said of it.
const STARTS: [(&str, &str); 6] = [
    (
        "alpha_bar_T",
        "the guide is noised to the time T; it is to be noised to t0, where steps[0] starts",
    ),
    (
        "alpha_bar_t of the last step",
        "the guide is noised to where the last step starts; the first of `steps` is the noisiest, and it starts at t0",
    ),
    (
        "alpha_bar at steps.len()",
        "the guide is noised to the time steps.len(); the steps skip times, and t0 is steps[0].t",
    ),
    (
        "alpha_bar(t-1)",
        "the guide is noised to the time t0 - 1; it is to be noised to t0, with steps[0].alpha_bar",
    ),
    (
        "alpha_bar(t+1)",
        "the guide is noised to the time t0 + 1; it is to be noised to t0, with steps[0].alpha_bar",
    ),
    (
        "alpha_bar_t of the next step",
        "the guide is noised to where the second step starts; it is to be noised to where the first does, t0",
    ),
];

fn start_sum() -> Sum {
    let sum = Sum::new(
        "sdedit, where it starts",
        "x_{t0} = sqrt(alpha_bar_t) guide + sqrt(1 - alpha_bar_t) eps, with t = t0, the time of steps[0]",
    )
    .term("the guide", Monomial::of(&[("alpha_bar_t", 0.5)]))
    .term("eps", Monomial::of(&[("1 - alpha_bar_t", 0.5)]));
    let sum = STARTS.iter().fold(sum, |sum, (name, because)| {
        sum.alternative(*because, vec![("alpha_bar_t".to_owned(), (*name).to_owned())])
    });
    with_remarks(sum)
}

fn start_case(path: &Path) -> Case {
    let (steps, schedule) = (&path.setting.steps, Schedule::linear());
    let mut quantities = quantities_on(path, 0);
    for (name, value) in [
        ("alpha_bar_T", schedule.alpha_bar(schedule.num_steps())),
        ("alpha_bar at steps.len()", schedule.alpha_bar(steps.len())),
    ] {
        quantities.push(Quantity::renamed(name, value));
        quantities.push(Quantity::renamed(format!("1 - {name}"), 1.0 - value));
    }
    let start = path.around(0).0;
    let arrays = vec![path.setting.guide(), Still::array(start.dim())];
    let name = format!("t0 = {}, {} steps", steps[0].t, steps.len());
    Case::new(name, quantities, arrays, start.clone())
}

/// The factor of `z` where `z` is known.
fn check_noise_of_steps(still: &[Path]) -> Result<(), Fault> {
    let mut sum = with_remarks(direct_step("sdedit, from one x_t to the next"));
    for path in still {
        for i in 0..path.setting.steps.len() {
            let ((x_t, next), is_last) = (path.around(i), path.setting.steps[i].is_last());
            let arrays = vec![x_t.clone(), path.score(i), Still::array(x_t.dim())];
            let case = Case::new(at(path, i), quantities_on(path, i), arrays, next.clone());
            sum.add(case.tag(if is_last {
                "at the last step"
            } else {
                "before the last step"
            }));
        }
    }
    sum.named_fault().map_or(Ok(()), Err)
}

/// The noise of a step is not that of the guide.
fn check_is_not_the_start(path: &Path) -> Result<(), Fault> {
    let eps = eps_of_start(path);
    match noises(&SDEDIT, path).iter().find(|(_, z)| alignment(z, &eps) > 0.999) {
        Some((i, _)) => Err(Fault::new(format!(
            "sdedit: the noise of {} is the eps of the guide again: z is to be drawn anew in each step",
            at(path, *i)
        ))),
        None => Ok(()),
    }
}

/// The guide's share of the start is exact.
fn check_two_guides(take: &mut Take<'_>, one: &Path) -> Result<(), Fault> {
    let other = run(&SDEDIT, take, &one.setting.clone().with_other_inputs())?;
    let root = one.setting.steps[0].alpha_bar.sqrt() as f32;
    let pair = Pair {
        at: "the first call of the model".into(),
        got: [one.around(0).0.clone(), other.around(0).0.clone()],
        right: [one.setting.guide() * root, other.setting.guide() * root],
    };
    check_pairs(
        "sdedit",
        "from two guides, should start with images that differ by sqrt(alpha_bar_{t0}) times the guides' difference",
        &[pair],
    )
}
