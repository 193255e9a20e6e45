//! Exercise 4.3: what the loop does without a mask, step by step, seen from the model and from the observer.

use checks::{Case, Exercise, Fault, Guard, Monomial, Quantity, SAMPLER, Sum};
use diffusion::{Observer, Schedule, StepVariance};
use ndarray::{Array2, Array4};
use rand::rngs::StdRng;
use task4_sdedit::{sdedit, steps_from};
use testing::arrays::alignment;
use testing::formula::direct_step;
use testing::noise_of_steps::{check_fresh, check_normal, check_two_seeds, noises};
use testing::path::{Given, Path, Setting};
use testing::quantities::with_remarks;
use testing::sampler::{Loop, at, check_errors, check_mean, direct_mean, direct_terms, quantities_on, run};
use testing::still::Still;
use testing::view::check_views;

use crate::formulas::{NOISE_GUIDE, PREDICT_X0, REVERSE_STEP};
use crate::guide::{Pair, check_pairs, guide, noise_on, other_guide, way};

pub static LOOP: Exercise = Exercise::new("4.3 sdedit", examine)
    .needs(&[&NOISE_GUIDE, &PREDICT_X0, &REVERSE_STEP])
    .after(&REVERSE_STEP);

/// As the student would call it; random numbers that are known come with [`STILL`].
pub const SPEC: Loop = Loop {
    name: "sdedit",
    sampler: |given, rng, observer| {
        sdedit(
            &given.model,
            &guide(&given.setting),
            None,
            &given.setting.steps,
            rng,
            observer,
        )
        .map_err(|error| format!("{error:#}"))
    },
    mean: || direct_mean("sdedit"),
    terms: direct_terms,
    pullbacks: 0,
    residual: None,
};

const STILL: Loop = Loop {
    sampler: with_still_numbers,
    ..SPEC
};

const OTHER_GUIDE: Loop = Loop {
    sampler: |given, rng, observer| {
        let (steps, guide) = (&given.setting.steps, other_guide(&given.setting));
        sdedit(&given.model, &guide, None, steps, rng, observer).map_err(|error| format!("{error:#}"))
    },
    ..SPEC
};

fn with_still_numbers(given: &Given, _: &mut StdRng, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let (steps, guide) = (&given.setting.steps, guide(&given.setting));
    sdedit(&given.model, &guide, None, steps, &mut Still::new(), observer).map_err(|error| format!("{error:#}"))
}

/// Where the guide is noised to, and in how many steps the way back is.
const WAYS: [(usize, usize); 6] = [(600, 12), (1000, 5), (250, 10), (9, 9), (800, 4), (300, 1)];

fn examine() -> Result<(), Fault> {
    let mut guard = Guard::new("sdedit", SAMPLER);
    let exact = paths(&SPEC, &mut guard, Noise::Without)?;
    let still = paths(&STILL, &mut guard, Noise::Of(StepVariance::Beta))?;
    check_start(&exact, &still)?;
    check_mean(&SPEC, &exact)?;
    check_noise_of_steps(&still)?;
    for path in &exact {
        check_views(&SPEC, path)?;
    }
    let noisy = |seed: u64, variance: StepVariance| {
        let steps = way(900, 25).into_iter().map(|step| step.with_variance(variance));
        Setting::new(steps.collect(), seed)
    };
    let first = run(&SPEC, &mut guard, &noisy(5, StepVariance::Beta))?;
    let again = run(&SPEC, &mut guard, &noisy(5, StepVariance::Beta))?;
    let other = run(&SPEC, &mut guard, &noisy(6, StepVariance::Posterior))?;
    for path in [&first, &other] {
        check_is_not_the_start(path)?;
        check_fresh(&SPEC, path)?;
    }
    check_two_seeds(&SPEC, &first, &again, &other)?;
    check_two_guides(&mut guard, &first)?;
    check_errors(&SPEC, &mut guard, &way(600, 12))
}

enum Noise {
    Without,
    Of(StepVariance),
}

fn paths(spec: &Loop, guard: &mut Guard, noise: Noise) -> Result<Vec<Path>, Fault> {
    let of_way = |(seed, &(t0, count)): (usize, &(usize, usize))| {
        let mut setting = Setting::new(way(t0, count), 1 + seed as u64);
        if t0 == 9 {
            (setting.shape, setting.images) = ([1, 5, 7], 1);
        }
        let setting = match noise {
            Noise::Without => setting.without_noise(),
            Noise::Of(variance) => {
                let steps = setting.steps.iter().map(|step| step.with_variance(variance));
                Setting {
                    steps: steps.collect(),
                    ..setting
                }
            }
        };
        run(spec, guard, &setting)
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
    noise_on(path.around(0).0, &guide(&path.setting), alpha_bar)
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
    let arrays = vec![guide(&path.setting), Still::array(start.dim())];
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
    match noises(&SPEC, path).iter().find(|(_, z)| alignment(z, &eps) > 0.999) {
        Some((i, _)) => Err(Fault::new(format!(
            "sdedit: the noise of {} is the eps of the guide again: z is to be drawn anew in each step",
            at(path, *i)
        ))),
        None => Ok(()),
    }
}

/// The guide's share of the start is exact.
fn check_two_guides(guard: &mut Guard, one: &Path) -> Result<(), Fault> {
    let other = run(&OTHER_GUIDE, guard, &one.setting)?;
    let root = one.setting.steps[0].alpha_bar.sqrt() as f32;
    let pair = Pair {
        at: "the first call of the model".into(),
        got: [one.around(0).0.clone(), other.around(0).0.clone()],
        right: [guide(&one.setting) * root, other_guide(&one.setting) * root],
    };
    check_pairs(
        "sdedit",
        "from two guides, should start with images that differ by sqrt(alpha_bar_{t0}) times the guides' difference",
        &[pair],
    )
}

#[test]
fn exercise_4_3_the_loop() {
    LOOP.tell();
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_the_shapes() {
    let steps = way(300, 2);
    let setting = Setting::new(steps.clone(), 1);
    let try_mask = |mask: Array2<f32>| {
        let model = testing::probe::ProbeModel::new(setting.shape, &testing::probe::Log::default(), 0);
        sdedit(
            &model,
            &guide(&setting),
            Some(&mask),
            &steps,
            &mut Still::new(),
            &mut (),
        )
        .map_or_else(|error| error.to_string(), |_| "accepted".into())
    };
    let said = try_mask(Array2::ones((6, 4)));
    assert!(said.contains("[6, 4]") && said.contains("[6, 5]"), "{said}");
    let mut grey = Array2::ones((6, 5));
    grey[[2, 4]] = 0.5;
    let said = try_mask(grey);
    assert!(said.contains("0.5 at [2, 4]"), "{said}");
}

#[test]
fn steps_keep_their_width_whatever_t0_is() {
    let schedule = Schedule::linear();
    let count = |t0, n| steps_from(&schedule, t0, n).map(|steps| (steps[0].t, steps.len()));
    assert_eq!(count(1000, 1000).expect("within the schedule"), (1000, 1000));
    assert_eq!(count(300, 1000).expect("within the schedule"), (300, 300));
    assert_eq!(count(300, 100).expect("within the schedule"), (300, 30));
    assert_eq!(count(1, 10).expect("within the schedule"), (1, 1));
    assert!(count(0, 10).is_err() && count(1001, 10).is_err());
    assert!(count(300, 0).is_err() && count(300, 1001).is_err());
}
