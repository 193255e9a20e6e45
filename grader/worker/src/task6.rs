//! Answers requests for the functions of task 6.

use std::process::ExitCode;

use anyhow::{Result, bail};
use diffusion::{Pullback, ScoreModel};
use exchange::{Message, SMALL_SHAPE, operator, run_sampler, step};
use ndarray::{Array2, Array4};
use task6_dps::{StepSize, dps, dps_step, measurement_gradient, predict_x0, step_sizes};

/// The answer to one request.
///
/// # Errors
///
/// What the student's function returns, and requests that lack something.
pub fn answer(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let batch = |name: &str| request.batch(name);
    let result = match request.text("exercise")? {
        "6.1" => predict_x0(&batch("x_t")?, &batch("score")?, &step(request)?),
        "6.2" => gradient(request)?,
        "6.3" => numbers(&step_sizes(step_size(request)?, &row(request, "norms")?)),
        "6.4" => {
            let zeta_t = row(request, "zeta_t")?;
            let (x0_hat, gradient) = (batch("x0_hat")?, batch("gradient")?);
            dps_step(
                &batch("x_t")?,
                &x0_hat,
                &gradient,
                &zeta_t,
                &batch("z")?,
                &step(request)?,
            )
        }
        "6.5" => return restored(request, model),
        other => bail!("task 6 has no exercise {other}"),
    };
    Ok(Message::default().with_batch("result", &result))
}

fn step_size(request: &Message) -> Result<StepSize> {
    let zeta = request.number("zeta")?;
    match request.text("form")? {
        "normalised" => Ok(StepSize::Normalised(zeta)),
        "constant" => Ok(StepSize::Constant(zeta)),
        other => bail!("there is no form `{other}` of zeta"),
    }
}

fn row(request: &Message, name: &str) -> Result<Vec<f32>> {
    Ok(request.array(name)?.iter().copied().collect())
}

fn numbers(values: &[f32]) -> Array4<f32> {
    Array4::from_shape_fn((values.len(), 1, 1, 1), |(index, ..)| values[index])
}

/// With the request's matrix `jacobian` for the network's.
fn gradient(request: &Message) -> Result<Array4<f32>> {
    let operator = operator(request, SMALL_SHAPE)?;
    let jacobian = request.matrix("jacobian")?;
    let pullback: Pullback<'_> = Box::new(|v| Ok(transposed_times(&jacobian, v)));
    let (x0_hat, residual) = (request.batch("x0_hat")?, request.batch("residual")?);
    measurement_gradient(operator.as_ref(), &x0_hat, &residual, pullback, &step(request)?)
}

/// `J^T v` of each image.
fn transposed_times(jacobian: &Array2<f32>, v: &Array4<f32>) -> Array4<f32> {
    let mut result = v.clone();
    for (mut image, v) in result.outer_iter_mut().zip(v.outer_iter()) {
        let flat = ndarray::Array1::from_iter(v.iter().copied());
        let product = flat.dot(jacobian);
        image.iter_mut().zip(&product).for_each(|(to, from)| *to = *from);
    }
    result
}

fn restored(request: &Message, model: &dyn ScoreModel) -> Result<Message> {
    let (b, step_size) = (request.batch("b")?, step_size(request)?);
    run_sampler(request, model, &mut |model, steps, rng, observer| {
        let operator = operator(request, model.image_shape())?;
        dps(model, operator.as_ref(), &b, step_size, steps, rng, observer)
    })
}

/// The worker.
#[must_use]
pub fn main() -> ExitCode {
    exchange::serve(answer)
}
