//! Exercises 5.1 to 5.4a, to rounding.

use checks::{Case, Exercise, FORMULA, Fault, Guard, Monomial, Quantity, Sum};
use diffusion::{Schedule, Step};
use ndarray::Array4;
use task5_score_ald::{gamma, posterior_step, predict_x0};
use testing::formula::{examine, examine_predict_x0, feeds};
use testing::quantities::{of_step, with_remarks};

use crate::likelihood::likelihood;

pub static GAMMA: Exercise = Exercise::new("5.1 gamma", gammas);

pub static LIKELIHOOD: Exercise = Exercise::new("5.2 likelihood_score", likelihood).after(&GAMMA);

pub static POSTERIOR_STEP: Exercise = Exercise::new("5.3 posterior_step", step).after(&LIKELIHOOD);

pub static PREDICT_X0: Exercise =
    Exercise::new("5.4a predict_x0", || examine_predict_x0(predict_x0)).after(&POSTERIOR_STEP);

/// `t` and `t_prev` of a step, and `lambda`.
const GAMMAS: [(usize, usize, f64); 12] = [
    (300, 200, 0.3),
    (700, 450, 2.7),
    (880, 840, 0.02),
    (40, 1, 1.0),
    (120, 60, 0.11),
    (960, 500, 0.45),
    (400, 360, 5.2),
    (50, 0, 0.7),
    (300, 299, 1.6),
    (800, 799, 0.004),
    (1000, 999, 0.85),
    (1, 0, 0.23),
];

fn gammas() -> Result<(), Fault> {
    let mut guard = Guard::new("gamma", FORMULA);
    let mut sum = with_remarks(Sum::number(
        "gamma",
        "gamma_t = sqrt(lambda (1 - alpha_bar_t))",
        "gamma_t",
        Monomial::of(&[("lambda", 0.5), ("1 - alpha_bar_t", 0.5)]),
    ))
    .remark(
        SIGNAL_PART,
        "lambda is a factor of the whole of 1 - alpha_bar_t, not of alpha_bar_t alone",
    );
    for (t, t_prev, lambda) in GAMMAS {
        let step = Schedule::linear().step(t, t_prev);
        let fed = format!("the step from t = {t} to {t_prev}, lambda = {lambda}");
        let got = guard.call(&fed, move || gamma(&step, lambda))?;
        let got = Array4::from_elem((1, 1, 1, 1), got as f32);
        let quantities = of_step(&step).into_iter().chain(of_lambda(&step, lambda)).collect();
        let case = Case::new(fed, quantities, vec![Array4::ones((1, 1, 1, 1))], got);
        let size = if lambda > 1.0 {
            "where lambda is above 1"
        } else {
            "where lambda is at most 1"
        };
        let way = if step.t_prev + 1 < step.t {
            "where the step skips times"
        } else {
            "where the step skips no time"
        };
        let end = if step.is_last() {
            "at the last step"
        } else {
            "at all steps but the last"
        };
        sum.add(case.tag(size).tag(way).tag(end));
    }
    sum.verdict()?;
    let step = Schedule::linear().step(300, 200);
    let trusting = guard.call("lambda = 0", move || gamma(&step, 0.0))?;
    if trusting == 0.0 {
        return Ok(());
    }
    Err(Fault::new(format!(
        "gamma: with lambda = 0 it is {trusting}; it should be 0"
    )))
}

const SIGNAL_PART: &str = "1 - lambda alpha_bar_t";

/// What `gamma` may be made of beside the step's own quantities.
fn of_lambda(step: &Step, lambda: f64) -> Vec<Quantity> {
    let noise = 1.0 - step.alpha_bar;
    vec![
        Quantity::plain("lambda", lambda),
        Quantity::rare("lambda + 1 - alpha_bar_t", lambda + noise),
        Quantity::rare("lambda^2 + 1 - alpha_bar_t", lambda.powi(2) + noise),
        Quantity::rare("lambda^2 + (1 - alpha_bar_t)^2", lambda.powi(2) + noise.powi(2)),
        Quantity::rare("1 + lambda", 1.0 + lambda),
        Quantity::rare("1 + lambda (1 - alpha_bar_t)", 1.0 + lambda * noise),
        Quantity::rare("1 - alpha_bar_t^2", 1.0 - step.alpha_bar.powi(2)),
        // Of a lambda above 1 it may be negative: then it is of no use, and must not look as if it were.
        Quantity::rare(SIGNAL_PART, (1.0 - lambda * step.alpha_bar).abs()),
    ]
}

fn step() -> Result<(), Fault> {
    let function = "posterior_step";
    let sum = Sum::new(
        function,
        "x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t) + sigma_t z",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", Monomial::of(&[("1 - alpha_t", 1.0)]))
    .bracketed("the likelihood score", Monomial::of(&[("1 - alpha_t", 1.0)]))
    .term("z", Monomial::of(&[("sigma_t", 1.0)]));
    // The likelihood score pulls harder than the prior's where guidance is strong.
    let feeds = feeds::<4>()
        .into_iter()
        .map(|feed| feed.with_score(1).scaled(2, 3.0).with_z(3))
        .collect();
    examine(function, sum, feeds, |feed| {
        let [x_t, score, likelihood_score, z] = &feed.arrays;
        posterior_step(x_t, score, likelihood_score, z, &feed.step)
    })
}

#[test]
fn exercise_5_1_gamma() {
    GAMMA.tell();
}

#[test]
fn exercise_5_2_likelihood_score() {
    LIKELIHOOD.tell();
}

#[test]
fn exercise_5_3_posterior_step() {
    POSTERIOR_STEP.tell();
}

#[test]
fn exercise_5_4a_predict_x0() {
    PREDICT_X0.tell();
}
