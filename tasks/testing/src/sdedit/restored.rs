//! SDEdit as a solver of inverse problems: where each pass starts, how many there are, the residual.

use checks::{Case, Fault, Monomial, Sum};
use imaging::{ForwardOperator, norms};
use ndarray::Array4;
use probe::still::Still;

use super::pairs::{Pair, check_pairs};
use super::{SDEDIT, noise_on, way};
use crate::arrays::alignment;
use crate::calls::check_calls;
use crate::errors::{check_errors, failing};
use crate::noise_of_steps::check_normal;
use crate::path::Path;
use crate::quantities::{of_step, with_remarks};
use crate::sampler::{Loop, Take, check_outcome};
use crate::setting::{Operator, Setting};
use crate::view::check_views;

const PASSES: usize = 3;

/// The steps of a path are those of all its passes.
const RESTORE: Loop = Loop {
    name: "restore",
    residual: Some(|path, x0_hat| norms(&(&path.b - &path.operator.of(x0_hat)))),
    ..SDEDIT
};

fn setting(t0: usize, count: usize, seed: u64) -> Setting {
    let one = way(t0, count);
    let all = (0..PASSES).flat_map(|_| one.clone()).collect();
    Setting {
        passes: PASSES,
        ..Setting::new(all, seed)
    }
}

/// Everything that is asked of the passes.
///
/// # Errors
///
/// The first fault.
pub fn judge(take: &mut Take<'_>) -> Result<(), Fault> {
    for operator in [Operator::Blur, Operator::Probe] {
        let mut sum = starts_sum();
        let mut results = results_sum();
        for (t0, count, seed) in [(600, 4, 1), (200, 2, 2), (900, 3, 3)] {
            let still = Setting {
                operator,
                ..setting(t0, count, seed).still()
            };
            let path = passes(take, &still)?;
            for pass in 0..PASSES {
                sum.add(start_case(&path, pass));
            }
            results.add(result_case(&path));
        }
        if let Some(fault) = sum.named_fault() {
            return Err(fault);
        }
        results.verdict()?;
    }
    let [first, again, other] = [5, 5, 6].map(|seed| passes(take, &setting(800, 6, seed)));
    let (first, again, other) = (first?, again?, other?);
    if first.result() != again.result() {
        return Err(Fault::new(
            "restore: two runs with the same seed differ: random numbers are to come from `rng` alone",
        ));
    }
    check_two_measurements(take, &first)?;
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
    check_views(&RESTORE, &first)?;
    check_errors(&RESTORE, take, failing(&setting(600, 4, 1)))
}

/// A run, with as many passes as it should have.
fn passes(take: &mut Take<'_>, setting: &Setting) -> Result<Path, Fault> {
    let path = take(setting)?;
    check_outcome(&RESTORE, &path)?;
    let (asked, of_pass) = (path.asked().len(), setting.one_pass().len());
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
    check_calls(&RESTORE, &path)?;
    Ok(path)
}

/// The guide of a pass: the start image, or what the pass before led to.
fn guide_of(path: &Path, pass: usize) -> Array4<f32> {
    match pass {
        0 => path.setting.start_image(),
        _ => path.mean_of_step(pass * path.setting.one_pass().len() - 1),
    }
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

fn start_case(path: &Path, pass: usize) -> Case {
    let setting = &path.setting;
    let (first, at) = (setting.steps[0], pass * setting.one_pass().len());
    let got = path.around(at).0.clone();
    let arrays = vec![guide_of(path, pass), Still::array(got.dim())];
    let name = format!("pass {} of {PASSES}, t0 = {}", pass + 1, first.t);
    let is_first = pass == 0;
    // The first pass starts from the start image, whatever becomes of results.
    let later = |array: Array4<f32>| if is_first { guide_of(path, 0) } else { array };
    let case = Case::new(name, of_step(&first), arrays, got);
    let case = case.tag(if is_first {
        "in the first pass"
    } else {
        "after the first pass"
    });
    instead_of_start(path)
        .into_iter()
        .fold(case, |case, (array, because)| {
            // Later passes start from what the pass before led to, whatever that was.
            let array = if is_first { array } else { guide_of(path, pass) };
            case.other(0, array, because)
        })
        .other(0, later(pulled_back(path, &guide_of(path, pass))), LOOKED_AT_TWICE)
        .other(
            0,
            path.setting.start_image(),
            "every pass starts from the start image again; it should start from the result of the pass before",
        )
}

const LOOKED_AT_TWICE: &str = "J_A^T (b - A x) is added to the result x of a pass: the measurement is looked at once, \
                               by start_image";

/// An image with what pulls it to the measurement.
fn pulled_back(path: &Path, x: &Array4<f32>) -> Array4<f32> {
    let setting = &path.setting;
    match setting.operator {
        Operator::Probe => x + &path.operator.back(x, &(&path.b - &path.operator.of(x))),
        Operator::Blur => {
            let blur = setting.blur();
            let rest = &path.b - &blur.apply(x).expect("images that fit");
            x + &blur.vjp(x, &rest).expect("images that fit")
        }
    }
}

fn mean_of_passes(path: &Path) -> Array4<f32> {
    let zeros = Array4::zeros(path.setting.batch());
    (1..=PASSES).fold(zeros, |sum, pass| sum + guide_of(path, pass)) / PASSES as f32
}

/// What may stand where the start image belongs.
fn instead_of_start(path: &Path) -> Vec<(Array4<f32>, String)> {
    let setting = &path.setting;
    let start = path.setting.start_image();
    let zeros = Array4::zeros(start.dim());
    let should = "the first guide should be operator.start_image(b)";
    let (transposed, of_start): (Array4<f32>, Array4<f32>) = match setting.operator {
        Operator::Blur => (start.clone(), start.clone()),
        Operator::Probe => (path.operator.back(&zeros, &path.b), path.operator.back(&start, &path.b)),
    };
    let [b, applied, inverse] = match setting.operator {
        Operator::Probe => [start.clone(), start.clone(), start.clone()],
        Operator::Blur => {
            let (operator, b) = (setting.blur(), setting.measurement());
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

fn result_case(path: &Path) -> Case {
    let setting = &path.setting;
    let arrays = vec![guide_of(path, PASSES)];
    Case::new(
        format!("{PASSES} passes from t0 = {}", setting.steps[0].t),
        of_step(&setting.steps[0]),
        arrays,
        path.result().clone(),
    )
    .other(0, path.setting.start_image(), "the start image came back")
    .other(0, guide_of(path, 1), "the first pass's result came back")
    .other(
        0,
        guide_of(path, PASSES - 1),
        "the result of the pass before the last one came back",
    )
    .other(0, mean_of_passes(path), "the mean of all passes' results came back")
    .other(0, pulled_back(path, &guide_of(path, PASSES)), LOOKED_AT_TWICE)
}

/// The guides' shares of the starts are exact.
fn check_two_measurements(take: &mut Take<'_>, one: &Path) -> Result<(), Fault> {
    let other = passes(take, &one.setting.clone().with_other_inputs())?;
    let of_pass = one.setting.one_pass().len();
    let root = one.setting.steps[0].alpha_bar.sqrt() as f32;
    let pair = |pass: usize| Pair {
        at: format!("the start of pass {}", pass + 1),
        got: [one, &other].map(|path| path.around(pass * of_pass).0.clone()),
        right: [one, &other].map(|path| guide_of(path, pass) * root),
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
    let (alpha_bar, of_pass) = (path.setting.steps[0].alpha_bar, path.setting.one_pass().len());
    let noise = |pass: usize| noise_on(path.around(pass * of_pass).0, &guide_of(path, pass), alpha_bar);
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
    let (seen, of_pass) = (path.seen(), path.setting.one_pass().len());
    let begins_anew = seen.iter().enumerate().all(|(i, seen)| seen.index == i % of_pass);
    if !begins_anew || seen.len() != PASSES * of_pass {
        return Ok(());
    }
    Err(Fault::new(
        "restore: the observer's `index` begins at 0 again in each pass; `pass` of Measured is the number of the pass, \
         which lets it count the steps of all passes",
    ))
}
