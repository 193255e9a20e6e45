//! Answers requests for the functions of task 4.

use std::process::ExitCode;

use anyhow::{Result, bail};
use diffusion::ScoreModel;
use exchange::{Message, operator, run_sampler, step};
use task4_sdedit::{keep_outside, noise_guide, predict_x0, restore, reverse_step, sdedit};

/// The answer to one request.
///
/// # Errors
///
/// What the student's function returns, and requests that lack something.
pub fn answer(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let batch = |name: &str| request.batch(name);
    let result = match request.text("exercise")? {
        "4.1" => noise_guide(&batch("guide")?, &batch("eps")?, request.number("alpha_bar")?),
        "4.2a" => predict_x0(&batch("x_t")?, &batch("score")?, &step(request)?),
        "4.2b" => reverse_step(&batch("x_t")?, &batch("score")?, &batch("z")?, &step(request)?),
        "4.3" => return edited(request, model),
        "4.4" => {
            let (mask, alpha_bar) = (request.matrix("mask")?, request.number("alpha_bar")?);
            keep_outside(&batch("x_t")?, &batch("image")?, &mask, &batch("eps")?, alpha_bar)
        }
        "4.5" => return restored(request, model),
        other => bail!("task 4 has no exercise {other}"),
    };
    Ok(Message::default().with_batch("result", &result))
}

fn edited(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let guide = request.batch("guide")?;
    let mask = request.matrix("mask").ok();
    run_sampler(request, model, &mut |model, steps, rng, observer| {
        sdedit(model, &guide, mask.as_ref(), steps, rng, observer)
    })
}

fn restored(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let (b, repeats) = (request.batch("b")?, request.number("repeats")?);
    run_sampler(request, model, &mut |model, steps, rng, observer| {
        let operator = operator(request, model.image_shape())?;
        restore(model, operator.as_ref(), &b, steps, repeats, rng, observer)
    })
}

/// The worker.
#[must_use]
pub fn main() -> ExitCode {
    exchange::serve(answer)
}
