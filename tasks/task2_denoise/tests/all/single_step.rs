//! Exercise 2.3: what the model is asked, what is made of its answer, and what becomes of its errors.

use checks::{Case, Exercise, FORMULA, Fault, Guard, Monomial, Quantity, Sum};
use diffusion::{Schedule, ScoreModel};
use ndarray::Array4;
use task2_denoise::denoise;
use testing::arrays::noise;
use testing::formula::check_purity;
use testing::quantities::with_remarks;

use crate::formulas::TWEEDIE;
use crate::model::{BROKEN, Scripted};

pub static DENOISE: Exercise = Exercise::new("2.3 denoise", || {
    let mut guard = Guard::new("denoise", FORMULA);
    let calls = calls(&mut guard)?;
    check_questions(&calls)?;
    check_answers(&calls)?;
    check_errors(&mut guard)
})
.needs(&[&TWEEDIE])
.after(&TWEEDIE);

/// All but the last two are neither 1 nor T.
const FEEDS: [(usize, [usize; 4]); 8] = [
    (80, [3, 2, 5, 4]),
    (20, [2, 3, 4, 4]),
    (150, [1, 2, 6, 5]),
    (45, [2, 1, 5, 5]),
    (110, [4, 3, 3, 4]),
    (180, [2, 2, 4, 5]),
    (1, [3, 2, 5, 4]),
    (200, [2, 3, 4, 6]),
];

/// One call of `denoise`.
struct Call {
    model: Scripted,
    x_t: Array4<f32>,
    t: usize,
    asked: Vec<(Array4<f32>, usize)>,
    outcome: Result<Array4<f32>, String>,
}

impl Call {
    fn make(guard: &mut Guard, model: &Scripted, x_t: &Array4<f32>, t: usize) -> Result<Self, Fault> {
        let (asked_model, fed) = (model.clone(), x_t.clone());
        let name = format!("t = {t}, images {:?}", x_t.shape());
        let outcome = guard.call(&name, move || {
            denoise(&asked_model, &fed, t).map_err(|error| error.to_string())
        })?;
        Ok(Self {
            model: model.clone(),
            x_t: x_t.clone(),
            t,
            asked: model.asked(),
            outcome,
        })
    }

    fn name(&self) -> String {
        format!("t = {}, images {:?}", self.t, self.x_t.shape())
    }
}

fn calls(guard: &mut Guard) -> Result<Vec<Call>, Fault> {
    let call = |(index, &(t, [b, c, h, w])): (usize, &(usize, [usize; 4]))| {
        let x_t = noise((b, c, h, w), 1 + index as u64);
        let call = Call::make(guard, &Scripted::new([c, h, w]), &x_t, t)?;
        if index == 0
            && let (Ok(first), Ok(again)) = (
                &call.outcome,
                &Call::make(guard, &Scripted::new([c, h, w]), &x_t, t)?.outcome,
            )
        {
            check_purity("denoise", first, again)?;
        }
        Ok(call)
    };
    FEEDS.iter().enumerate().map(call).collect()
}

/// The model is asked once, at `t`, about `x_t` as it is.
fn check_questions(calls: &[Call]) -> Result<(), Fault> {
    if let Some(call) = calls.iter().find(|call| call.asked.len() != 1) {
        let how_often = match call.asked.len() {
            0 => "never asks the model".to_owned(),
            n => format!("asks the model {n} times; once is enough: a call of the network is what takes the time"),
        };
        return Err(Fault::new(format!("denoise {how_often}")).fact(format!("fed: {}", call.name())));
    }
    let shift = |call: &Call| call.asked[0].1 as i64 - call.t as i64;
    if let Some(wrong) = calls.iter().find(|call| shift(call) != 0) {
        let (first, max) = (shift(wrong), wrong.model.schedule().num_steps());
        let what = if calls.iter().all(|call| shift(call) == first) {
            format!("t {} {}", if first < 0 { "-" } else { "+" }, first.abs())
        } else if calls.iter().all(|call| call.asked[0].1 == max) {
            "T, the last time of the schedule".to_owned()
        } else if calls.iter().all(|call| call.asked[0].1 + call.t == max) {
            "T - t".to_owned()
        } else if calls.iter().all(|call| call.asked[0].1 == 1) {
            "1".to_owned()
        } else {
            "another time".to_owned()
        };
        return Err(Fault::new(format!(
            "denoise asks the model for the score at {what}; it should ask at t"
        ))
        .fact(format!(
            "fed t = {}, the model was asked at t = {}",
            wrong.t, wrong.asked[0].1
        )));
    }
    let mut sum = with_remarks(
        Sum::new("what denoise gives to the model", "model.score(x_t, t): x_t as it is").term("x_t", Monomial::one()),
    );
    for call in calls {
        let quantities = quantities(call);
        sum.add(tagged(
            Case::new(call.name(), quantities, vec![call.x_t.clone()], call.asked[0].0.clone()),
            call,
        ));
    }
    sum.verdict()
}

/// Tweedie's formula with the model's score and with the `alpha_bar` of the model's schedule.
fn check_answers(calls: &[Call]) -> Result<(), Fault> {
    let mut sum = with_remarks(testing::formula::tweedie("denoise"));
    for (name, because) in ALPHA_BARS {
        sum = sum.alternative(
            format!("alpha_bar_t is {because}; it should be model.schedule().alpha_bar(t)"),
            vec![("alpha_bar_t".to_owned(), name.to_owned())],
        );
    }
    for call in calls {
        let score = call.model.answer(&call.x_t, call.t);
        let got = match &call.outcome {
            Ok(got) => got.clone(),
            Err(error) => {
                return Err(Fault::new(format!(
                    "denoise returned an error, though the model had answered: {error}"
                ))
                .fact(format!("fed: {}", call.name())));
            }
        };
        let case = Case::new(call.name(), quantities(call), vec![call.x_t.clone(), score], got);
        sum.add(tagged(case, call));
    }
    sum.verdict()
}

fn tagged(case: Case, call: &Call) -> Case {
    match call.t {
        1 => case.tag("at t = 1"),
        t if t == call.model.schedule().num_steps() => case.tag("at t = T").tag("after t = 1"),
        _ => case.tag("before t = T").tag("after t = 1"),
    }
}

/// What may be taken for `alpha_bar_t`, and what that is in the student's words.
const ALPHA_BARS: [(&str, &str); 11] = [
    ("alpha_t", "the schedule's alpha(t), of a single step"),
    ("beta_t", "the schedule's beta(t)"),
    (
        "sqrt(alpha_bar_t)",
        "sqrt(alpha_bar_t): the formula takes the root itself",
    ),
    ("alpha_bar_t^2", "alpha_bar_t squared"),
    (
        "alpha_bar_{t-1}",
        "the schedule's alpha_bar(t - 1): times start at 1, so that alpha_bar(t) needs no shift",
    ),
    (
        "alpha_bar_{t+1}",
        "the schedule's alpha_bar(t + 1): times start at 1, so that alpha_bar(t) needs no shift",
    ),
    (
        "alpha_bar_t of Schedule::linear()",
        "that of another schedule, Schedule::linear(), than this model was made with",
    ),
    ("alpha_bar_T", "the schedule's alpha_bar at its last time T"),
    ("alpha_bar_{T-t}", "the schedule's alpha_bar at T - t"),
    ("1 - t / T", "1 - t / T, a linear path as in flow matching"),
    ("t / T", "t / T"),
];

/// What coefficients may be made of in one call.
fn quantities(call: &Call) -> Vec<Quantity> {
    let (schedule, t) = (call.model.schedule(), call.t);
    let last = schedule.num_steps();
    let alpha_bar = schedule.alpha_bar(t);
    let alternatives = [
        schedule.alpha(t),
        schedule.beta(t),
        alpha_bar.sqrt(),
        alpha_bar.powi(2),
        schedule.alpha_bar(t - 1),
        schedule.alpha_bar((t + 1).min(last)),
        Schedule::linear().alpha_bar(t),
        schedule.alpha_bar(last),
        schedule.alpha_bar(last - t),
        1.0 - t as f64 / last as f64,
        t as f64 / last as f64,
    ];
    let renamed = ALPHA_BARS.iter().zip(alternatives).flat_map(|((name, _), value)| {
        [
            Quantity::renamed(*name, value),
            Quantity::renamed(format!("1 - {name}"), 1.0 - value),
        ]
    });
    let rare = [
        ("alpha(t)", schedule.alpha(t)),
        ("beta(t)", schedule.beta(t)),
        ("1 - sqrt(alpha_bar_t)", 1.0 - alpha_bar.sqrt()),
        ("1 + alpha_bar_t", 1.0 + alpha_bar),
        ("t", t as f64),
    ];
    [
        Quantity::plain("alpha_bar_t", alpha_bar),
        Quantity::plain("1 - alpha_bar_t", 1.0 - alpha_bar),
        Quantity::constant("2", 2.0),
        Quantity::constant("T", last as f64),
    ]
    .into_iter()
    .chain(rare.map(|(name, value)| Quantity::rare(name, value)))
    .chain(renamed)
    .collect()
}

/// What the model fails at comes back as it is.
fn check_errors(guard: &mut Guard) -> Result<(), Fault> {
    let shape = [2, 5, 4];
    let (fits, other) = (noise((3, 2, 5, 4), 30), noise((3, 2, 5, 3), 31));
    for (whose, model, x_t, t) in [
        ("its network broke", Scripted::broken(shape), &fits, 50),
        ("there is no t = 0 in its schedule", Scripted::new(shape), &fits, 0),
        ("there is no t = 201 in its schedule", Scripted::new(shape), &fits, 201),
        (
            "the images have another shape than its own",
            Scripted::new(shape),
            &other,
            50,
        ),
    ] {
        let should = format!("the model's error ({whose}) should come back as it is: `?` does that");
        let error = match model.check(x_t, t) {
            Err(error) => error.to_string(),
            Ok(()) => BROKEN.to_owned(),
        };
        let call =
            Call::make(guard, &model, x_t, t).map_err(|fault| Fault::new(format!("{should}; but {}", fault.hint())))?;
        match &call.outcome {
            Ok(_) => return Err(Fault::new(format!("{should}; but denoise returned Ok"))),
            Err(got) if *got != error => {
                return Err(Fault::new(format!("{should}; but another one came: {got}"))
                    .fact(format!("the model's own: {error}")));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

#[test]
fn exercise_2_3_denoise() {
    DENOISE.tell();
}
