//! Exercise 4.5: SDEdit as a solver of inverse problems: where each pass starts, how many there are, the residual.

use checks::{Case, Exercise, Fault, Guard, Monomial, SAMPLER, Sum};
use diffusion::Observer;
use imaging::{Convolution, ForwardOperator, norms};
use ndarray::{Array4, array};
use rand::rngs::StdRng;
use task4_sdedit::restore;
use testing::arrays::alignment;
use testing::noise_of_steps::check_normal;
use testing::path::{Given, Path, Setting};
use testing::quantities::{of_step, with_remarks};
use testing::sampler::{Loop, check_errors, check_outcome, run};
use testing::still::Still;
use testing::view::check_views;

use crate::guide::{Pair, check_pairs, guide, mean_of_step, noise_on, way};
use crate::sampler::{LOOP, SPEC};
use crate::sampler_mask::MASKED_LOOP;

pub static RESTORE: Exercise = Exercise::new("4.5 restore", examine)
    .needs(&[&LOOP])
    .after(&MASKED_LOOP);

const PASSES: usize = 3;

/// The steps of a path are those of all its passes.
const SPEC_OF_RESTORE: Loop = Loop {
    name: "restore",
    sampler: |given, rng, observer| {
        let steps = one_pass(&given.setting);
        restore(&given.model, &given.operator, &given.b, &steps, PASSES, rng, observer)
            .map_err(|error| format!("{error:#}"))
    },
    residual: Some(|path, x0_hat| norms(&(&path.b - &path.operator.of(x0_hat)))),
    ..SPEC
};

const STILL: Loop = Loop {
    sampler: with_still_numbers,
    ..SPEC_OF_RESTORE
};

const STILL_AND_LINEAR: Loop = Loop {
    sampler: with_a_blur,
    ..SPEC_OF_RESTORE
};

fn with_still_numbers(given: &Given, _: &mut StdRng, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let (steps, rng) = (one_pass(&given.setting), &mut Still::new());
    restore(&given.model, &given.operator, &given.b, &steps, PASSES, rng, observer)
        .map_err(|error| format!("{error:#}"))
}

fn with_a_blur(given: &Given, _: &mut StdRng, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let (steps, rng) = (one_pass(&given.setting), &mut Still::new());
    let (operator, b) = (blur(&given.setting), blurred(&given.setting));
    restore(&given.model, &operator, &b, &steps, PASSES, rng, observer).map_err(|error| format!("{error:#}"))
}

const OTHER_MEASUREMENT: Loop = Loop {
    sampler: |given, rng, observer| {
        let (steps, b) = (one_pass(&given.setting), other_b(&given.b));
        restore(&given.model, &given.operator, &b, &steps, PASSES, rng, observer).map_err(|error| format!("{error:#}"))
    },
    ..SPEC_OF_RESTORE
};

fn other_b(b: &Array4<f32>) -> Array4<f32> {
    b.mapv(|v| (2.0 * v).sin())
}

/// A blur that is not its own transpose.
fn blur(setting: &Setting) -> Convolution {
    let kernel = array![[0.5, 0.2, 0.0], [0.1, 0.1, 0.0], [0.1, 0.0, 0.0]];
    Convolution::from_kernel(setting.shape, &kernel).expect("a kernel smaller than the image")
}

/// The same as a measurement.
fn blurred(setting: &Setting) -> Array4<f32> {
    blur(setting).apply(&guide(setting)).expect("images that fit") + 0.05
}

fn setting(t0: usize, count: usize, seed: u64) -> Setting {
    let one = way(t0, count);
    let all = (0..PASSES).flat_map(|_| one.clone()).collect();
    Setting::new(all, seed)
}

fn one_pass(setting: &Setting) -> Vec<diffusion::Step> {
    setting.steps[..setting.steps.len() / PASSES].to_vec()
}

fn examine() -> Result<(), Fault> {
    let mut guard = Guard::new("restore", SAMPLER);
    for (spec, kind) in [(&STILL_AND_LINEAR, Kind::Linear), (&STILL, Kind::Bent)] {
        let mut sum = starts_sum();
        let mut results = results_sum();
        for (t0, count, seed) in [(600, 4, 1), (200, 2, 2), (900, 3, 3)] {
            let path = passes(spec, &mut guard, &setting(t0, count, seed))?;
            for pass in 0..PASSES {
                sum.add(start_case(&path, kind, pass));
            }
            results.add(result_case(&path, kind));
        }
        if let Some(fault) = sum.named_fault() {
            return Err(fault);
        }
        results.verdict()?;
    }
    let [first, again, other] = [5, 5, 6].map(|seed| passes(&SPEC_OF_RESTORE, &mut guard, &setting(800, 6, seed)));
    let (first, again, other) = (first?, again?, other?);
    if first.result() != again.result() {
        return Err(Fault::new(
            "restore: two runs with the same seed differ: random numbers are to come from `rng` alone",
        ));
    }
    check_two_measurements(&mut guard, &first)?;
    if noises_of_starts(&first)
        .iter()
        .zip(noises_of_starts(&other))
        .any(|(a, b)| alignment(a, &b) > 0.999)
    {
        return Err(Fault::new(
            "restore: the noise on the guide is the same with two seeds: it does not come from `rng`",
        ));
    }
    check_noise(&first)?;
    check_counts(&first)?;
    check_views(&SPEC_OF_RESTORE, &first)?;
    check_errors(&SPEC_OF_RESTORE, &mut guard, &setting(600, 4, 1).steps)?;
    check_odd_calls(&mut guard)
}

/// A run, with as many passes as it should have.
fn passes(spec: &Loop, guard: &mut Guard, setting: &Setting) -> Result<Path, Fault> {
    let path = Path::take(guard, spec.sampler, setting)?;
    check_outcome(spec, &path)?;
    let (asked, of_pass) = (path.asked().len(), one_pass(setting).len());
    if asked.is_multiple_of(of_pass) && asked != PASSES * of_pass && asked > 0 {
        let made = match asked / of_pass {
            1 => "one pass".to_owned(),
            n => format!("{n} passes"),
        };
        return Err(Fault::new(format!("restore makes {made}, where `repeats` is {PASSES}"))
            .fact(format!("the model was asked {asked} times; a pass has {of_pass} steps")));
    }
    if asked == 0 {
        return Err(Fault::new(
            "restore never asks the model: each pass is a call of sdedit with `model` and `steps`",
        ));
    }
    run(spec, guard, setting)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A blur.
    Linear,
    /// The probe, which is not linear.
    Bent,
}

/// The guide of a pass: the start image, or what the pass before led to.
fn guide_of(path: &Path, kind: Kind, pass: usize) -> Array4<f32> {
    match pass {
        0 => start_image(path, kind),
        _ => mean_of_step(path, pass * one_pass(&path.setting).len() - 1),
    }
}

fn start_image(path: &Path, kind: Kind) -> Array4<f32> {
    let start = match kind {
        Kind::Linear => blur(&path.setting).start_image(&blurred(&path.setting)),
        Kind::Bent => path.operator.start_image(&path.b),
    };
    start.expect("a measurement that fits")
}

fn starts_sum() -> Sum {
    with_remarks(
        Sum::new(
            "restore, where a pass starts",
            "x_{t0} = sqrt(alpha_bar_t) guide + sqrt(1 - alpha_bar_t) eps: the guide is operator.start_image(b), then \
             each pass's result",
        )
        .term("the guide", Monomial::of(&[("alpha_bar_t", 0.5)]))
        .term("eps", Monomial::of(&[("1 - alpha_bar_t", 0.5)])),
    )
}

fn start_case(path: &Path, kind: Kind, pass: usize) -> Case {
    let setting = &path.setting;
    let (first, at) = (setting.steps[0], pass * one_pass(setting).len());
    let got = path.around(at).0.clone();
    let arrays = vec![guide_of(path, kind, pass), Still::array(got.dim())];
    let name = format!("pass {} of {PASSES}, t0 = {}", pass + 1, first.t);
    let is_first = pass == 0;
    let case = Case::new(name, of_step(&first), arrays, got);
    let case = case.tag(if is_first {
        "in the first pass"
    } else {
        "after the first pass"
    });
    instead_of_start(path, kind)
        .into_iter()
        .fold(case, |case, (array, because)| {
            // Later passes start from what the pass before led to, whatever that was.
            let array = if is_first { array } else { guide_of(path, kind, pass) };
            case.other(0, array, because)
        })
        .other(
            0,
            start_image(path, kind),
            "every pass starts from the start image again; it should start from the result of the pass before",
        )
}

/// What may stand where the start image belongs.
fn instead_of_start(path: &Path, kind: Kind) -> Vec<(Array4<f32>, String)> {
    let setting = &path.setting;
    let start = start_image(path, kind);
    let zeros = Array4::zeros(start.dim());
    let should = "the first guide should be operator.start_image(b)";
    let (transposed, of_start): (Array4<f32>, Array4<f32>) = match kind {
        Kind::Linear => (start.clone(), start.clone()),
        Kind::Bent => (path.operator.back(&zeros, &path.b), path.operator.back(&start, &path.b)),
    };
    let [b, applied, inverse] = match kind {
        Kind::Bent => [start.clone(), start.clone(), start.clone()],
        Kind::Linear => {
            let (operator, b) = (blur(setting), blurred(setting));
            let applied = operator.apply(&b).expect("images that fit");
            let linear = operator.linear().expect("a blur is linear");
            [b.clone(), applied, linear.pseudo_inverse(&b).expect("images that fit")]
        }
    };
    vec![
        (zeros, format!("the first guide is an image of zeros; {should}")),
        (
            transposed,
            format!("the first guide is J_A(0)^T b, the vjp at an image of zeros; {should}"),
        ),
        (
            of_start,
            format!("the first guide is J_A^T b, the vjp at the start image; {should}"),
        ),
        (b, format!("the first guide is the measurement b itself; {should}")),
        (applied, format!("the first guide is A b; {should}")),
        (
            inverse,
            format!("the first guide is the pseudo-inverse of b, whose noise is blown up; {should}"),
        ),
    ]
}

fn results_sum() -> Sum {
    Sum::new("restore", "the result of the last pass is what comes back")
        .term("the last pass's result", Monomial::one())
}

fn result_case(path: &Path, kind: Kind) -> Case {
    let setting = &path.setting;
    let arrays = vec![guide_of(path, kind, PASSES)];
    Case::new(
        format!("{PASSES} passes from t0 = {}", setting.steps[0].t),
        of_step(&setting.steps[0]),
        arrays,
        path.result().clone(),
    )
    .other(0, start_image(path, kind), "the start image came back")
    .other(0, guide_of(path, kind, 1), "the first pass's result came back")
    .other(
        0,
        guide_of(path, kind, PASSES - 1),
        "the result of the pass before the last one came back",
    )
}

/// The guides' shares of the starts are exact.
fn check_two_measurements(guard: &mut Guard, one: &Path) -> Result<(), Fault> {
    let other = passes(&OTHER_MEASUREMENT, guard, &one.setting)?;
    let of_pass = one_pass(&one.setting).len();
    let root = one.setting.steps[0].alpha_bar.sqrt() as f32;
    let start_of_other = other
        .operator
        .start_image(&other_b(&other.b))
        .expect("a measurement that fits");
    let pair = |pass: usize| {
        let second = if pass == 0 {
            start_of_other.clone()
        } else {
            guide_of(&other, Kind::Bent, pass)
        };
        Pair {
            at: format!("the start of pass {}", pass + 1),
            got: [one, &other].map(|path| path.around(pass * of_pass).0.clone()),
            right: [guide_of(one, Kind::Bent, pass) * root, second * root],
        }
    };
    check_pairs(
        "restore",
        "with two measurements, should start their passes with images that differ by sqrt(alpha_bar_{t0}) times the \
         guides' difference",
        &(0..PASSES).map(pair).collect::<Vec<_>>(),
    )
}

/// The noise with which each pass starts.
fn noises_of_starts(path: &Path) -> Vec<Array4<f32>> {
    let (alpha_bar, of_pass) = (path.setting.steps[0].alpha_bar, one_pass(&path.setting).len());
    let noise = |pass: usize| {
        noise_on(
            path.around(pass * of_pass).0,
            &guide_of(path, Kind::Bent, pass),
            alpha_bar,
        )
    };
    (0..PASSES).map(noise).collect()
}

fn check_noise(path: &Path) -> Result<(), Fault> {
    let noises = noises_of_starts(path);
    let again = (1..PASSES).find(|&k| (0..k).any(|j| alignment(&noises[k], &noises[j]) > 0.999));
    if let Some(pass) = again {
        return Err(Fault::new(format!(
            "restore: pass {} starts with the noise of an earlier one: one and the same `rng` is to go through all \
             passes",
            pass + 1
        )));
    }
    check_normal(
        "restore: eps, the noise with which the passes start,",
        &noises.iter().collect::<Vec<_>>(),
    )
}

/// The observer's `index` goes on from one pass to the next.
fn check_counts(path: &Path) -> Result<(), Fault> {
    let (seen, of_pass) = (path.seen(), one_pass(&path.setting).len());
    let begins_anew = seen.iter().enumerate().all(|(i, seen)| seen.index == i % of_pass);
    if !begins_anew || seen.len() != PASSES * of_pass {
        return Ok(());
    }
    Err(Fault::new(
        "restore: the observer's `index` begins at 0 again in each pass; `pass` of Measured is the number of the pass, \
         which lets it count the steps of all passes",
    ))
}

/// No pass at all, and a measurement that does not fit.
fn check_odd_calls(guard: &mut Guard) -> Result<(), Fault> {
    let setting = Setting::new(way(300, 2), 4);
    let none = Path::take(guard, without_passes, &setting)?;
    if none.outcome.as_ref().ok() != Some(&start_image(&none, Kind::Bent)) {
        return Err(Fault::new(
            "with repeats = 0 restore should return operator.start_image(b)",
        ));
    }
    let own = none.operator.start_image(&wrong_b(&setting));
    let own = own.map_or_else(|error| error.to_string(), |_| String::new());
    let should = "a measurement of the wrong shape should give the operator's error";
    let wrong =
        Path::take(guard, with_wrong_b, &setting).map_err(|fault| fault.fact(format!("in this run {should}")))?;
    match &wrong.outcome {
        Ok(_) => Err(Fault::new(format!("{should}; but restore returned Ok"))),
        Err(text) if !text.contains(&own) => {
            Err(Fault::new(format!("{should}; but another one came: {text}"))
                .fact(format!("the operator's own: {own}")))
        }
        Err(_) => Ok(()),
    }
}

fn wrong_b(setting: &Setting) -> Array4<f32> {
    Array4::zeros((setting.images, 1, 1, 3))
}

fn without_passes(given: &Given, rng: &mut StdRng, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let steps = &given.setting.steps;
    restore(&given.model, &given.operator, &given.b, steps, 0, rng, observer).map_err(|error| format!("{error:#}"))
}

fn with_wrong_b(given: &Given, rng: &mut StdRng, observer: &mut dyn Observer) -> Result<Array4<f32>, String> {
    let b = wrong_b(&given.setting);
    let steps = &given.setting.steps;
    restore(&given.model, &given.operator, &b, steps, 1, rng, observer).map_err(|error| format!("{error:#}"))
}

#[test]
fn exercise_4_5_restore() {
    RESTORE.tell();
}
