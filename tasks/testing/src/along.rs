//! A step on the path of a sampler: its terms, and the quantities that their coefficients may be made of.

use checks::{Case, Monomial, Quantity, Sum};

use crate::formula::x0_hat;
use crate::path::Path;
use crate::quantities::of_step;

/// The coefficients may be those of another step.
#[must_use]
pub fn with_neighbours(sum: Sum) -> Sum {
    NEIGHBOURS.iter().fold(sum, |sum, (name, ..)| {
        let renames = QUANTITIES.map(|quantity| (quantity.to_owned(), format!("{quantity} of {name}")));
        sum.alternative(format!("the coefficients are those of {name}"), renames.to_vec())
    })
}

const QUANTITIES: [&str; 3] = ["alpha_t", "alpha_bar_t", "alpha_bar_{t-1}"];

type Neighbour = (&'static str, fn(usize, usize) -> usize);

const NEIGHBOURS: [Neighbour; 5] = [
    ("the next step", |i, n| (i + 1).min(n - 1)),
    ("the step before", |i, _| i.saturating_sub(1)),
    ("the step from the other end of `steps`", |i, n| n - 1 - i),
    ("the first step", |_, _| 0),
    ("the last step", |_, n| n - 1),
];

/// The quantities of step number `i`, and of those that may be taken for it.
#[must_use]
pub fn quantities_on(path: &Path, i: usize) -> Vec<Quantity> {
    let steps = &path.setting.steps;
    let mut quantities = of_step(&steps[i]);
    quantities.push(Quantity::rare("the number of steps", steps.len() as f64));
    for (name, index) in NEIGHBOURS {
        let other = &steps[index(i, steps.len())];
        for (quantity, value) in QUANTITIES
            .iter()
            .zip([other.alpha, other.alpha_bar, other.alpha_bar_prev])
        {
            let quantity = format!("{quantity} of {name}");
            quantities.push(Quantity::renamed(&quantity, value));
            quantities.push(Quantity::renamed(format!("1 - {quantity}"), 1.0 - value));
        }
    }
    quantities
}

/// The mean of the direct step, of `x_t` and the score.
#[must_use]
pub fn direct_mean(name: &str) -> Sum {
    Sum::new(
        format!("{name}, from one x_t to the next"),
        "x_{t-1} = (x_t + (1 - alpha_t) s(x_t, t)) / sqrt(alpha_t), where sigma_t = 0",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", Monomial::of(&[("1 - alpha_t", 1.0)]))
}

/// Its arrays on a path.
#[must_use]
pub fn direct_terms(path: &Path, i: usize) -> Case {
    let ((x_t, next), step) = (path.around(i), &path.setting.steps[i]);
    let start = path.around(0).0;
    let before = path.around(i.saturating_sub(1)).0;
    let x0_hat = x0_hat(x_t, &path.score(i), step.alpha_bar);
    let clamped = x0_hat.mapv(|v| v.clamp(-1.0, 1.0));
    let root = step.alpha_bar.sqrt() as f32;
    let score_of_clamped = (clamped * root - x_t) / (1.0 - step.alpha_bar) as f32;
    Case::new(
        at(path, i),
        quantities_on(path, i),
        vec![x_t.clone(), path.score(i)],
        next.clone(),
    )
    .other(
        1,
        path.probe.score(x_t, step.t_prev),
        "the score is that of step.t_prev",
    )
    .other(
        1,
        path.probe.score(before, step.t),
        "the score is that of the x_t of the step before",
    )
    .other(1, path.probe.score(start, step.t), "the score is always that of x_T")
    .other(1, score_of_clamped, "x0_hat is clamped to [-1, 1] in the step")
    .other(
        0,
        start.clone(),
        "every step starts from x_T: x_t is not replaced by the result of the step",
    )
    .other(0, before.clone(), "x_t is that of the step before")
    .other(0, x0_hat, "the step starts from x0_hat in place of x_t")
}

/// The mean of the step through `x0_hat`, of `x_t` and `x0_hat`.
#[must_use]
pub fn mean_through_x0(name: &str, formula: &str) -> Sum {
    Sum::new(format!("{name}, from one x_t to the next"), formula)
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
}

/// A step of a path, for messages.
#[must_use]
pub fn at(path: &Path, i: usize) -> String {
    let step = &path.setting.steps[i];
    format!("the step from t = {} to {}", step.t, step.t_prev)
}
