//! What the loop of task 5 should do: Score-ALD, from one `x_t` to the next.

mod terms;
mod variances;

use checks::{Fault, Monomial, Sum};
use imaging::norms;
use ndarray::Array4;

use crate::noise_of_steps::check_normal;
use crate::sampler::{self, Loop, Take};
use terms::{pull, residual, terms};
use variances::{OTHER_VARIANCES, variance};

/// The loop.
pub const SCORE_ALD: Loop = Loop {
    name: "score_ald",
    mean,
    terms,
    pullbacks: 0,
    residual: Some(|path, x0_hat| norms(&residual(path, x0_hat))),
};

/// Everything that is asked of it.
///
/// # Errors
///
/// The first fault.
pub fn judge(take: &mut Take<'_>) -> Result<(), Fault> {
    let Err(fault) = sampler::judge(&SCORE_ALD, take) else {
        return Ok(());
    };
    if fault.hint().contains("no sum of its terms") {
        noise_as_a_score(take)?;
    }
    Err(fault)
}

/// `z` among the arguments of the step, but in the place of a score: there it shows where `sigma_t` is 0.
fn noise_as_a_score(take: &mut Take<'_>) -> Result<(), Fault> {
    let path = sampler::run(&SCORE_ALD, take, &sampler::first_setting())?;
    let last = path.setting.steps.len() - 1;
    for (term, name) in [(1, "the score"), (2, "the likelihood score")] {
        // What stands in the place of this term, at each step: the right one, and what is too much.
        let instead = |i: usize| {
            let ((x_t, next), step) = (path.around(i), &path.setting.steps[i]);
            let too_much = next - &mean().expected(&terms(&path, i));
            let right = match term {
                1 => path.score(i),
                _ => pull(&path, x_t) / variance(&path, i) as f32,
            };
            too_much * (step.alpha.sqrt() / step.beta()) as f32 + right
        };
        let at_the_end = instead(last).iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
        let noise: Vec<Array4<f32>> = (0..last).map(instead).collect();
        let references: Vec<&Array4<f32>> = noise.iter().collect();
        if at_the_end < 1e-3 && check_normal("z", &references).is_ok() {
            return Err(Fault::new(format!(
                "score_ald, from one x_t to the next: z stands where {name} belongs among the arguments of \
                 posterior_step"
            ))
            .fact("what stands there is standard normal in all steps but the last, and 0 in the last, as z is"));
        }
    }
    Ok(())
}

const VARIANCE: &str = "sigma^2 + gamma_t^2";

fn mean() -> Sum {
    let sum = Sum::new(
        "score_ald, from one x_t to the next",
        "x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t), where sigma_t = 0, with l = A^T (b - A x_t) / \
         (sigma^2 + gamma_t^2)",
    )
    .bracket(Monomial::of(&[("alpha_t", -0.5)]))
    .bracketed("x_t", Monomial::one())
    .bracketed("the score", Monomial::of(&[("1 - alpha_t", 1.0)]))
    .bracketed(
        "A^T (b - A x_t)",
        Monomial::of(&[("1 - alpha_t", 1.0), (VARIANCE, -1.0)]),
    );
    OTHER_VARIANCES.iter().fold(sum, |sum, other| {
        let renames = vec![(VARIANCE.to_owned(), other.name.to_owned())];
        sum.alternative(other.because, renames)
            .remark(other.name, other.because)
    })
}
