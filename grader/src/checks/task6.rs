//! The checks of task 6.

use anyhow::Result;
use diffusion::{Schedule, ScoreModel, Step};
use exchange::{LOPSIDED_BLUR, Message, SMALL_SHAPE, operator, steps};
use imaging::{ForwardOperator, norms, residual};
use ndarray::{Array4, arr1};
use task6_dps::{StepSize, dps_step, measurement_gradient, predict_x0, step_sizes};

use super::asked::Answered;
use super::images::{ImageCheck, Measured, compared, measured_request, runs, stray_from, truth};
use super::models::{SMALL, small_model};
use super::path::Way;
use super::task3::{step_requests, with_both_variances};
use super::trace::{self, Expected, Runs};
use super::{Bench, Check, Kind, Verdict};
use crate::course::task::Task;

/// Operators on hidden images, each with the `zeta` that its bands were measured with, and the number of steps.
const OPERATORS: [(&str, f64); 2] = [("inpainting", 6.0), ("deconvolution", 9.5)];
const STEPS: usize = 50;
/// The step size of the sampler check.
const ZETA: f64 = 0.1;

/// All of them.
pub fn checks(task: Task) -> Vec<Check> {
    vec![
        Check::new(
            task,
            "6.1",
            "formula",
            |bench| Ok(step_requests(bench, "6.1")),
            Kind::Formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "6.2",
            "formula",
            ask_gradient,
            Kind::Formula("v = -2 A^T r, gradient = (v + (1 - alpha_bar_t) J_s^T v) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "6.3",
            "formula",
            ask_step_sizes,
            Kind::Formula("zeta / (2 ||r||), and 0 where r = 0; or zeta"),
        ),
        Check::new(
            task,
            "6.4",
            "formula",
            ask_step,
            Kind::Formula("the DDPM step through x0_hat, minus zeta_t times the gradient of each image"),
        ),
        Check::new(task, "6.5", "sampler", ask_sampler, Kind::Sampler(judge_sampler)),
        Check::new(
            task,
            "6.5",
            "images",
            ask_images,
            Kind::Images(ImageCheck {
                measure: measure_images,
                stray,
            }),
        ),
    ]
}

/// With a matrix for the network, on operators that differ from their transposes, one of them nonlinear.
fn ask_gradient(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    let names = [LOPSIDED_BLUR, "inpainting:0.5", "hdr:0.8,2.2"];
    for (index, (t, t_prev)) in bench.times().into_iter().enumerate() {
        let stream = 600 + 10 * index as u64;
        let request = Message::request("6.2")
            .with("operator", names[index % names.len()])
            .with("operator_seed", bench.number(&["operator"]))
            .with_batch("x0_hat", &bench.noise(stream))
            .with_array("jacobian", bench.jacobian(stream + 1).into_dyn())
            .with("t", t)
            .with("t_prev", t_prev);
        let r = operator(&request, SMALL_SHAPE)?.apply(&bench.noise(stream + 2))?;
        requests.push(request.with_batch("residual", &r));
    }
    Ok(requests)
}

fn ask_step_sizes(bench: &Bench) -> Result<Vec<Message>> {
    let noise = bench.noise(660);
    let of_index = |index: usize| noise.iter().nth(index).map_or(1.0, |value| value.abs() + 0.1);
    let request = |form: &str, zeta: f64, norms: &[f32]| {
        Message::request("6.3")
            .with("form", form)
            .with("zeta", zeta)
            .with_array("norms", arr1(norms).into_dyn())
    };
    Ok(vec![
        request("normalised", 0.7, &[of_index(0), of_index(1), of_index(2)]),
        request("normalised", 3.0, &[of_index(3), 0.0, of_index(4)]),
        request("constant", 0.3, &[of_index(5), 0.0, of_index(6), of_index(7)]),
    ])
}

fn ask_step(bench: &Bench) -> Result<Vec<Message>> {
    let requests = with_both_variances(&step_requests(bench, "6.4"))
        .into_iter()
        .enumerate();
    Ok(requests
        .map(|(index, request)| {
            let stream = 670 + 10 * index as u64;
            request
                .with_batch("x0_hat", &bench.noise(stream))
                .with_batch("gradient", &bench.noise(stream + 1))
                .with_array("zeta_t", arr1(&[0.3f32, 0.0, 1.1]).into_dyn())
        })
        .collect())
}

fn ask_sampler(bench: &Bench) -> Result<Vec<Message>> {
    let request = Message::request("6.5")
        .with("operator", LOPSIDED_BLUR)
        .with("operator_seed", bench.number(&["operator"]))
        .with("model", SMALL)
        .with("seed", bench.number(&["sampler"]))
        .with("form", "normalised")
        .with("zeta", ZETA)
        .with("from", 1000)
        .with("steps", 20);
    let b = operator(&request, SMALL_SHAPE)?.apply(&(bench.noise(690) * 0.5))?;
    Ok(trace::requests(&request.with_batch("b", &b)))
}

/// A step of DPS without its noise.
fn mean(
    model: &dyn ScoreModel,
    operator: &dyn ForwardOperator,
    (b, zeta): (&Array4<f32>, f64),
    x_t: &Array4<f32>,
    step: &Step,
) -> Result<Array4<f32>> {
    let (score, pullback) = model.score_with_pullback(x_t, step.t)?;
    let x0_hat = predict_x0(x_t, &score, step);
    let r = residual(operator, b, &x0_hat)?;
    let zeta_t = step_sizes(StepSize::Normalised(zeta), &norms(&r));
    let gradient = measurement_gradient(operator, &x0_hat, &r, pullback, step)?;
    Ok(dps_step(
        x_t,
        &x0_hat,
        &gradient,
        &zeta_t,
        &Array4::zeros(x_t.dim()),
        step,
    ))
}

fn judge_sampler(bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let (model, operator) = (small_model(bench)?, operator(&asked[0], SMALL_SHAPE)?);
    let steps = steps(&asked[0], &Schedule::linear())?;
    let b = asked[0].batch("b")?;
    let nothing = Array4::zeros(bench.noise(0).dim());
    let expected = Expected {
        way: Way {
            model: &model,
            steps: &steps,
            passes: 1,
            start: (0.0, &nothing),
            mean: &|model, x_t, step| mean(model, operator.as_ref(), (&b, ZETA), x_t, step),
        },
        residuals: Some(&|x0_hat| Ok(norms(&residual(operator.as_ref(), &b, x0_hat)?))),
        pullbacks: 1,
    };
    trace::judge(&expected, &Runs::of(answers)?)
}

fn stray(bench: &Bench, request: &Message, answer: &Answered) -> Result<Option<String>> {
    let operator = operator(request, bench.prior.image_shape())?;
    let (b, zeta) = (request.batch("b")?, request.number("zeta")?);
    let nothing = Array4::zeros(truth(bench, 0).dim());
    stray_from(bench, request, answer, (0.0, &nothing), &|model, x_t, step| {
        mean(model, operator.as_ref(), (&b, zeta), x_t, step)
    })
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for (operator, zeta) in OPERATORS {
        requests.extend(runs(bench, |run| {
            Ok(measured_request(bench, "6.5", operator, run)?
                .with("form", "normalised")
                .with("zeta", zeta)
                .with("from", 1000)
                .with("steps", STEPS))
        })?);
    }
    Ok(requests)
}

fn measure_images(bench: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let mut measured = Measured::default();
    for ((operator, _), answers) in OPERATORS.iter().zip(answers.chunks(answers.len() / OPERATORS.len())) {
        compared(bench, operator, answers, &mut measured)?;
    }
    Ok(measured)
}
