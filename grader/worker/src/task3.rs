//! Answers requests for the functions of task 3.

use std::process::ExitCode;

use anyhow::{Result, bail};
use diffusion::ScoreModel;
use exchange::{Message, run_sampler, step};
use task3_generate::{StepForm, ddpm_step_direct, ddpm_step_through_x0, predict_x0, sample};

/// The answer to one request.
///
/// # Errors
///
/// What the student's function returns, and requests that lack something.
pub fn answer(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let batch = |name: &str| request.batch(name);
    let result = match request.text("exercise")? {
        "3.1" => ddpm_step_direct(&batch("x_t")?, &batch("score")?, &batch("z")?, &step(request)?),
        "3.2a" => predict_x0(&batch("x_t")?, &batch("score")?, &step(request)?),
        "3.2b" => ddpm_step_through_x0(&batch("x_t")?, &batch("score")?, &batch("z")?, &step(request)?),
        "3.3" => return sampled(request, model),
        other => bail!("task 3 has no exercise {other}"),
    };
    Ok(Message::default().with_batch("result", &result))
}

fn sampled(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let form = match request.text("form")? {
        "direct" => StepForm::Direct,
        "through x0" => StepForm::ThroughX0,
        other => bail!("there is no form `{other}` of the step"),
    };
    let count = request.number("images")?;
    run_sampler(request, model, &mut |model, steps, rng, observer| {
        Ok(sample(model, count, steps, form, rng, observer)?)
    })
}

/// The worker.
#[must_use]
pub fn main() -> ExitCode {
    exchange::serve(answer)
}
