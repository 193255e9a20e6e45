//! Answers requests for the functions of task 5.

use std::process::ExitCode;

use anyhow::{Result, bail};
use diffusion::ScoreModel;
use exchange::{Message, SMALL_SHAPE, operator, run_sampler, step};
use task5_score_ald::{Guidance, gamma, likelihood_score, posterior_step, predict_x0, score_ald};

/// The answer to one request.
///
/// # Errors
///
/// What the student's function returns, and requests that lack something.
pub fn answer(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let batch = |name: &str| request.batch(name);
    let number = |name: &str| request.number::<f64>(name);
    let result = match request.text("exercise")? {
        "5.1" => ndarray::Array4::from_elem((1, 1, 1, 1), gamma(&step(request)?, number("lambda")?) as f32),
        "5.2" => {
            let operator = operator(request, SMALL_SHAPE)?;
            let (sigma, gamma_t) = (number("sigma")?, number("gamma_t")?);
            likelihood_score(operator.as_ref(), &batch("b")?, &batch("x_t")?, sigma, gamma_t)?
        }
        "5.3" => {
            let (score, likelihood) = (batch("score")?, batch("likelihood_score")?);
            posterior_step(&batch("x_t")?, &score, &likelihood, &batch("z")?, &step(request)?)
        }
        "5.4a" => predict_x0(&batch("x_t")?, &batch("score")?, &step(request)?),
        "5.4b" => return restored(request, model),
        other => bail!("task 5 has no exercise {other}"),
    };
    Ok(Message::default().with_batch("result", &result))
}

fn restored(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let b = request.batch("b")?;
    let guidance = Guidance {
        sigma: request.number("sigma")?,
        lambda: request.number("lambda")?,
    };
    run_sampler(request, model, &mut |model, steps, rng, observer| {
        let operator = operator(request, model.image_shape())?;
        score_ald(model, operator.as_ref(), &b, guidance, steps, rng, observer)
    })
}

/// The worker.
#[must_use]
pub fn main() -> ExitCode {
    exchange::serve(answer)
}
