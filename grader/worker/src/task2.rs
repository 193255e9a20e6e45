//! Answers requests for the functions of task 2.

use std::process::ExitCode;

use anyhow::{Result, bail};
use diffusion::ScoreModel;
use exchange::Message;
use ndarray::Array4;
use task2_denoise::{denoise, forward_diffusion, tweedie};

/// The answer to one request.
///
/// # Errors
///
/// What the student's function returns, and requests that lack something.
pub fn answer(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let alpha_bar = || request.number("alpha_bar");
    let result: Array4<f32> = match request.text("exercise")? {
        "2.1" => forward_diffusion(&request.batch("x0")?, &request.batch("eps")?, alpha_bar()?),
        "2.2" => tweedie(&request.batch("x_t")?, &request.batch("score")?, alpha_bar()?),
        "2.3" => return denoised(request, model),
        other => bail!("task 2 has no exercise {other}"),
    };
    Ok(Message::default().with_batch("result", &result))
}

fn denoised(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let result = denoise(model, &request.batch("x_t")?, request.number("t")?)?;
    Ok(Message::default().with_batch("result", &result))
}

/// The worker.
#[must_use]
pub fn main() -> ExitCode {
    exchange::serve(answer)
}
