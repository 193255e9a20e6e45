//! Feeds the functions of the exercises, and says what their results should be.

use checks::{Case, FORMULA, Fault, Guard, Monomial, Sum, remark_if_slow};
use diffusion::{Schedule, Step, StepVariance};
use ndarray::Array4;

use crate::arrays::noise;
use crate::quantities::{of_step, with_remarks};

/// What a function is called with.
#[derive(Clone, Debug)]
pub struct Feed<const N: usize> {
    /// For messages.
    pub name: String,
    /// The step whose coefficients it uses.
    pub step: Step,
    /// `[B, C, H, W]`, standard normal.
    pub arrays: [Array4<f32>; N],
}

/// Steps to try a formula on, and the shapes of the arrays: wide ones first, which tell all coefficients apart, then
/// such as skip no time, and both ends.
const STEPS: [(usize, usize, [usize; 4]); 13] = [
    (400, 360, [3, 2, 4, 6]),
    (40, 1, [2, 3, 5, 5]),
    (880, 840, [3, 1, 5, 5]),
    (700, 450, [2, 2, 5, 4]),
    (300, 200, [1, 2, 4, 6]),
    (120, 60, [3, 3, 4, 4]),
    (960, 500, [2, 1, 6, 4]),
    (300, 299, [3, 2, 4, 4]),
    (800, 799, [2, 3, 3, 4]),
    (1000, 999, [2, 2, 4, 4]),
    (2, 1, [2, 2, 3, 4]),
    (50, 0, [2, 2, 5, 4]),
    (1, 0, [1, 3, 4, 4]),
];

/// `N` arrays of noise for each of some steps, with both rules for the noise of a step in turn.
///
/// Arrays number 1 and up that are scores are best scaled by [`Feed::scaled`]: the score of noise is noise over its
/// standard deviation.
#[must_use]
pub fn feeds<const N: usize>() -> Vec<Feed<N>> {
    let schedule = Schedule::linear();
    let feed = |(index, &(t, t_prev, [b, c, h, w])): (usize, &(usize, usize, [usize; 4]))| {
        let (variance, rule) = if index % 2 == 0 {
            (StepVariance::Beta, "1 - alpha_t")
        } else {
            (StepVariance::Posterior, "the posterior variance")
        };
        Feed {
            name: format!("the step from t = {t} to {t_prev} (sigma_t^2 is {rule}), images [{b}, {c}, {h}, {w}]"),
            step: schedule.step(t, t_prev).with_variance(variance),
            arrays: std::array::from_fn(|k| noise((b, c, h, w), (100 * index + k + 1) as u64)),
        }
    };
    STEPS.iter().enumerate().map(feed).collect()
}

impl<const N: usize> Feed<N> {
    /// The same with one of its arrays times a factor.
    #[must_use]
    pub fn scaled(mut self, array: usize, factor: f64) -> Self {
        self.arrays[array] *= factor as f32;
        self
    }

    /// The same with one of its arrays at the size of a score.
    #[must_use]
    pub fn with_score(self, array: usize) -> Self {
        let factor = 1.0 / (1.0 - self.step.alpha_bar).sqrt();
        self.scaled(array, factor)
    }

    /// The same with `z = 0` at a last step.
    #[must_use]
    pub fn with_z(self, array: usize) -> Self {
        let is_last = self.step.is_last();
        if is_last { self.scaled(array, 0.0) } else { self }
    }
}

/// Calls a function with each feed, and compares with a sum whose terms are the feed's arrays.
///
/// # Errors
///
/// The first fault.
pub fn examine<const N: usize>(
    function: &str,
    sum: Sum,
    feeds: Vec<Feed<N>>,
    call: impl Fn(&Feed<N>) -> Array4<f32> + Copy + Send + 'static,
) -> Result<(), Fault> {
    examine_with(function, sum, feeds, call, |feed, got| {
        Case::new(feed.name.clone(), of_step(&feed.step), feed.arrays.to_vec(), got)
    })
}

/// The same where the terms are others than the feed's arrays: `case` makes them of what was fed, and of what came.
///
/// # Errors
///
/// The first fault.
pub fn examine_with<const N: usize>(
    function: &str,
    mut sum: Sum,
    feeds: Vec<Feed<N>>,
    call: impl Fn(&Feed<N>) -> Array4<f32> + Copy + Send + 'static,
    case: impl Fn(&Feed<N>, Array4<f32>) -> Case,
) -> Result<(), Fault> {
    let mut guard = Guard::new(function, FORMULA);
    for (index, feed) in feeds.into_iter().enumerate() {
        let fed = feed.clone();
        let got = guard.call(&feed.name, move || call(&fed))?;
        if index == 0 {
            let fed = feed.clone();
            check_purity(function, &got, &guard.call(&feed.name, move || call(&fed))?)?;
        }
        sum.add(tagged(case(&feed, got), &feed));
    }
    with_remarks(sum).verdict()?;
    let large = Feed {
        name: String::new(),
        step: Schedule::linear().step(300, 299),
        arrays: std::array::from_fn(|k| noise(LARGE, k as u64 + 1)),
    };
    let arrays = large.arrays.clone();
    remark_if_slow(function, &arrays, move || call(&large));
    Ok(())
}

/// As large as images are.
pub(crate) const LARGE: (usize, usize, usize, usize) = (1, 3, 64, 64);

/// The words for where a call differs from others.
fn tagged<const N: usize>(case: Case, feed: &Feed<N>) -> Case {
    let (images, channels, height, width) = feed.arrays[0].dim();
    let step = &feed.step;
    let mut case = case;
    for (holds, tag) in [
        (step.is_last(), "at the last step"),
        (!step.is_last(), "at all steps but the last"),
        (step.t_prev + 1 < step.t, "where the step skips times"),
        (step.t_prev + 1 == step.t, "where the step skips no time"),
        (step.t == 1, "at t = 1"),
        (step.t == 1000, "at t = T"),
        (images > 1, "with more than one image"),
        (images == 1, "with one image alone"),
        (height != width, "where height and width differ"),
        (height == width, "with square images"),
        (channels > 1, "with more than one channel"),
        (channels == 1, "with a single channel"),
    ] {
        if holds {
            case = case.tag(tag);
        }
    }
    case
}

/// The same arguments give the same result.
///
/// # Errors
///
/// If not.
pub fn check_purity(function: &str, first: &Array4<f32>, again: &Array4<f32>) -> Result<(), Fault> {
    let bits = |a: &Array4<f32>| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    if first.dim() == again.dim() && bits(first) == bits(again) {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{function} gave two results for the same arguments: it is to depend on them alone"
    )))
}

/// The forward process in one jump, of clean images and `eps`.
#[must_use]
pub fn noising(function: &str, clean: &str) -> Sum {
    let formula = format!("sqrt(alpha_bar_t) {clean} + sqrt(1 - alpha_bar_t) eps");
    Sum::new(function, formula)
        .term(clean, Monomial::of(&[("alpha_bar_t", 0.5)]))
        .term("eps", Monomial::of(&[("1 - alpha_bar_t", 0.5)]))
}

/// The DDPM step with the score of the posterior, of `x_t`, the prior's score, the likelihood score and `z`.
#[must_use]
pub fn posterior_step(function: &str) -> Sum {
    let beta = || Monomial::of(&[("1 - alpha_t", 1.0)]);
    Sum::new(
        function,
        "x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t) + sigma_t z",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", beta())
    .bracketed("the likelihood score", beta())
    .term("z", Monomial::of(&[("sigma_t", 1.0)]))
}

/// Tweedie's formula, of `x_t` and the score.
#[must_use]
pub fn tweedie(function: &str) -> Sum {
    Sum::new(function, "x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)")
        .bracket(Monomial::of(&[("alpha_bar_t", -0.5)]))
        .bracketed("x_t", Monomial::one())
        .bracketed("the score", Monomial::of(&[("1 - alpha_bar_t", 1.0)]))
}

/// The DDPM step, of `x_t`, the score and `z`.
#[must_use]
pub fn direct_step(function: &str) -> Sum {
    Sum::new(
        function,
        "x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", Monomial::of(&[("1 - alpha_t", 1.0)]))
    .term("z", Monomial::of(&[("sigma_t", 1.0)]))
}

/// The DDPM step, of `x_t`, `x0_hat` and `z`.
#[must_use]
pub fn step_through_x0(function: &str) -> Sum {
    Sum::new(
        function,
        "x_{t-1} = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t + sqrt(alpha_bar_{t-1}) (1 - alpha_t) / \
         (1 - alpha_bar_t) x0_hat + sigma_t z",
    )
    .term(
        "x_t",
        Monomial::of(&[
            ("alpha_t", 0.5),
            ("1 - alpha_bar_{t-1}", 1.0),
            ("1 - alpha_bar_t", -1.0),
        ]),
    )
    .term(
        "x0_hat",
        Monomial::of(&[
            ("alpha_bar_{t-1}", 0.5),
            ("1 - alpha_t", 1.0),
            ("1 - alpha_bar_t", -1.0),
        ]),
    )
    .term("z", Monomial::of(&[("sigma_t", 1.0)]))
}

/// `x0_hat` by Tweedie's formula, which all tests of steps stand on.
#[must_use]
pub fn x0_hat(x_t: &Array4<f32>, score: &Array4<f32>, alpha_bar: f64) -> Array4<f32> {
    let mix = |x: f32, s: f32| ((f64::from(x) + f64::from(s) * (1.0 - alpha_bar)) / alpha_bar.sqrt()) as f32;
    ndarray::Zip::from(x_t).and(score).map_collect(|x, s| mix(*x, *s))
}

/// Tweedie's formula as the function that every task has: of `x_t`, the score and a step.
///
/// # Errors
///
/// The first fault.
pub fn examine_predict_x0(predict_x0: fn(&Array4<f32>, &Array4<f32>, &Step) -> Array4<f32>) -> Result<(), Fault> {
    let feeds = feeds::<2>().into_iter().map(|feed| feed.with_score(1)).collect();
    examine("predict_x0", tweedie("predict_x0"), feeds, move |feed| {
        predict_x0(&feed.arrays[0], &feed.arrays[1], &feed.step)
    })
}

/// A step of `x_t`, the score, `z` and a step's coefficients.
pub type DirectStep = fn(&Array4<f32>, &Array4<f32>, &Array4<f32>, &Step) -> Array4<f32>;

/// The direct step as a function of `x_t`, the score, `z` and a step.
///
/// # Errors
///
/// The first fault.
pub fn examine_direct_step(function: &'static str, step: DirectStep) -> Result<(), Fault> {
    let feeds = feeds::<3>()
        .into_iter()
        .map(|feed| feed.with_score(1).with_z(2))
        .collect();
    examine(function, direct_step(function), feeds, move |feed| {
        let [x_t, score, z] = &feed.arrays;
        step(x_t, score, z, &feed.step)
    })
}
