//! Functions that know `alpha_bar` alone: the forward process, and Tweedie's formula as it is written down.

use checks::{Case, FORMULA, Fault, Guard, Monomial, Quantity, Sum, remark_if_slow};
use diffusion::Schedule;
use ndarray::Array4;

use crate::arrays::noise;
use crate::formula::{LARGE, check_purity};

/// A function of two batches and `alpha_bar`.
pub type OfAlphaBar = fn(&Array4<f32>, &Array4<f32>, f64) -> Array4<f32>;

/// Times whose `alpha_bar` is tried, and shapes `[B, C, H, W]`.
const TIMES: [(usize, [usize; 4]); 9] = [
    (300, [3, 2, 5, 4]),
    (40, [2, 3, 5, 5]),
    (700, [3, 1, 4, 6]),
    (150, [2, 2, 4, 4]),
    (480, [1, 2, 6, 5]),
    (900, [4, 3, 3, 4]),
    (600, [2, 1, 5, 5]),
    (1, [2, 2, 4, 5]),
    (1000, [3, 2, 4, 4]),
];

/// What the forward process is called in a task.
pub struct Forward {
    /// The function.
    pub function: &'static str,
    /// Its formula, as the docs have it.
    pub formula: &'static str,
    /// What the clean images are called.
    pub clean: &'static str,
    /// What `alpha_bar_t` is called.
    pub alpha_bar: &'static str,
}

/// The forward process in one jump, `sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps` (Ho et al. 2020, Eq. 4), at
/// times of the schedule and at both ends of `alpha_bar`.
///
/// # Errors
///
/// The first fault.
pub fn examine_forward(spec: &Forward, forward: OfAlphaBar) -> Result<(), Fault> {
    let complement = format!("1 - {}", spec.alpha_bar);
    let mut sum = Sum::new(spec.function, spec.formula)
        .term(spec.clean, Monomial::of(&[(spec.alpha_bar, 0.5)]))
        .term("eps", Monomial::of(&[(complement.as_str(), 0.5)]));
    for (name, remark) in remarks(spec.alpha_bar) {
        sum = sum.remark(name, remark);
    }
    let ends = [(1.0, [2, 2, 4, 5]), (0.0, [3, 1, 5, 4])];
    let feeds = of_schedule(Schedule::linear().num_steps()).into_iter().chain(ends);
    examine(
        spec.function,
        sum,
        feeds,
        spec.alpha_bar,
        [spec.clean, "eps"],
        1.0,
        forward,
    )
}

/// Tweedie's formula as a function of `x_t`, the score and `alpha_bar_t` (Chung et al. 2023, Eq. 10).
///
/// # Errors
///
/// The first fault.
pub fn examine_tweedie(function: &str, tweedie: OfAlphaBar) -> Result<(), Fault> {
    let sum = crate::formula::tweedie(function);
    let feeds = of_schedule(Schedule::linear().num_steps());
    let size_of_score = -0.5;
    examine(
        function,
        sum,
        feeds.into_iter(),
        "alpha_bar_t",
        ["x_t", "the score"],
        size_of_score,
        tweedie,
    )
}

fn of_schedule(last: usize) -> Vec<(f64, [usize; 4])> {
    let schedule = Schedule::linear();
    let times = TIMES.into_iter().filter(|(t, _)| *t <= last);
    times.map(|(t, shape)| (schedule.alpha_bar(t), shape)).collect()
}

/// - `names`: of the two arrays
/// - `power`: the second array is standard normal times this power of `1 - alpha_bar`
fn examine(
    function: &str,
    mut sum: Sum,
    feeds: impl Iterator<Item = (f64, [usize; 4])>,
    alpha_bar_name: &str,
    names: [&str; 2],
    power: f64,
    call: OfAlphaBar,
) -> Result<(), Fault> {
    let mut guard = Guard::new(function, FORMULA);
    for (index, (alpha_bar, [b, c, h, w])) in feeds.enumerate() {
        let size = if power < 0.0 {
            (1.0 - alpha_bar).powf(power)
        } else {
            1.0
        };
        let first = noise((b, c, h, w), 10 * index as u64 + 1);
        let second = noise((b, c, h, w), 10 * index as u64 + 2) * size as f32;
        let name = format!("{alpha_bar_name} = {alpha_bar:.4}, images [{b}, {c}, {h}, {w}]");
        let mut once = || {
            let (first, second) = (first.clone(), second.clone());
            guard.call(&name, move || call(&first, &second, alpha_bar))
        };
        let got = once()?;
        if index == 0 {
            check_purity(function, &got, &once()?)?;
        }
        let quantities = of_alpha_bar(alpha_bar_name, alpha_bar);
        let [one, two] = names;
        let case = Case::new(name, quantities, vec![first.clone(), second.clone()], got)
            .other(1, first, format!("{one} stands where {two} belongs"))
            .other(0, second, format!("{two} stands where {one} belongs"));
        let case = if alpha_bar > 0.0 && alpha_bar < 1.0 {
            case.tag("strictly between the ends of alpha_bar")
        } else {
            case.tag("where alpha_bar is 0 or 1")
        };
        sum.add(case);
    }
    sum.verdict()?;
    let [first, second] = [1, 2].map(|seed| noise(LARGE, seed));
    remark_if_slow(function, &[first.clone(), second.clone()], move || {
        call(&first, &second, 0.5)
    });
    Ok(())
}

/// What coefficients of a function may hold that knows `alpha_bar` alone.
#[must_use]
pub fn of_alpha_bar(name: &str, alpha_bar: f64) -> Vec<Quantity> {
    let (root, rest) = (alpha_bar.sqrt(), 1.0 - alpha_bar);
    vec![
        Quantity::plain(name, alpha_bar),
        Quantity::plain(format!("1 - {name}"), rest),
        Quantity::rare(format!("sqrt({name})"), root),
        Quantity::rare(format!("1 - sqrt({name})"), 1.0 - root),
        Quantity::rare(format!("1 + {name}"), 1.0 + alpha_bar),
        Quantity::rare(format!("1 - sqrt(1 - {name})"), 1.0 - rest.sqrt()),
        Quantity::rare(format!("1 + sqrt(1 - {name})"), 1.0 + rest.sqrt()),
        Quantity::rare(format!("1 - (1 - {name})^2"), 1.0 - rest * rest),
        Quantity::rare(format!("-ln({name})"), -alpha_bar.ln()),
        Quantity::rare(format!("1 - 2 {name}"), (1.0 - 2.0 * alpha_bar).abs()),
        Quantity::constant("2", 2.0),
    ]
}

fn remarks(name: &str) -> [(String, String); 3] {
    [
        (
            format!("1 - sqrt({name})"),
            format!(
                "the variances, which are the squares of the factors, add up to 1: sqrt(1 - {name}) is not 1 - \
                 sqrt({name})"
            ),
        ),
        (
            format!("1 + {name}"),
            format!("1 - {name}^2 = (1 - {name}) (1 + {name}); {name} is the square of the images' factor already"),
        ),
        (
            format!("1 - (1 - {name})^2"),
            format!("1 - {name} is the variance of the noise already"),
        ),
    ]
}
