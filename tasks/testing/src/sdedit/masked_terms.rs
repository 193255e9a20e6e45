//! The terms of a step with a mask, and what may stand in their places.

use checks::{Case, Monomial, Quantity, Sum};
use ndarray::{Array2, Array4};
use probe::still::Still;

use crate::path::Path;
use crate::quantities::with_remarks;
use crate::sampler::{at, quantities_on};
use crate::setting::Setting;

pub(super) fn mask_of(setting: &Setting) -> Array2<f32> {
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

pub(super) fn masked_sum() -> Sum {
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

pub(super) fn masked_case(path: &Path, i: usize) -> Case {
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
