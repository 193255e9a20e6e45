//! The checks of task 5.

use anyhow::Result;
use diffusion::{Schedule, ScoreModel, Step};
use exchange::{LOPSIDED_BLUR, Message, SMALL_SHAPE, operator, steps};
use imaging::{ForwardOperator, Noise, norms, residual};
use ndarray::Array4;
use task5_score_ald::{gamma, likelihood_score, posterior_step, tuned_lambda};

use super::asked::Answered;
use super::images::{ImageCheck, Measured, compared, measured_request, runs, stray_from, truth};
use super::models::{SMALL, small_model};
use super::path::Way;
use super::task3::{step_requests, with_both_variances};
use super::trace::{self, Expected, Runs};
use super::{Bench, Check, Kind, Verdict};
use crate::course::task::Task;

/// Operators on hidden images, and the number of steps.
const OPERATORS: [&str; 2] = ["inpainting", "deconvolution"];
const STEPS: usize = 80;
/// The settings of the sampler check.
const SIGMA: f64 = 0.5;
const LAMBDA: f64 = 0.3;

/// All of them.
pub fn checks(task: Task) -> Vec<Check> {
    vec![
        Check::new(
            task,
            "5.1",
            "formula",
            ask_gamma,
            Kind::Formula("gamma_t = sqrt(lambda (1 - alpha_bar_t))"),
        ),
        Check::new(
            task,
            "5.2",
            "formula",
            ask_likelihood,
            Kind::Formula("A^T (b - A x_t) / (sigma^2 + gamma_t^2)"),
        ),
        Check::new(
            task,
            "5.3",
            "formula",
            ask_step,
            Kind::Formula("x_{t-1} = (x_t + (1 - alpha_t) (s + l)) / sqrt(alpha_t) + sigma_t z"),
        ),
        Check::new(
            task,
            "5.4",
            "x0_hat",
            |bench| Ok(step_requests(bench, "5.4a")),
            Kind::Formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(task, "5.4", "sampler", ask_sampler, Kind::Sampler(judge_sampler)),
        Check::new(
            task,
            "5.4",
            "images",
            ask_images,
            Kind::Images(ImageCheck {
                measure: measure_images,
                stray,
            }),
        ),
    ]
}

fn ask_gamma(bench: &Bench) -> Result<Vec<Message>> {
    let request = |(t, t_prev): (usize, usize)| {
        Message::request("5.1")
            .with("t", t)
            .with("t_prev", t_prev)
            .with("lambda", 0.01 + t as f64 / 700.0)
    };
    Ok(bench.times().into_iter().map(request).collect())
}

/// On operators that differ from their transposes, one of them nonlinear.
fn ask_likelihood(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for (index, name) in [LOPSIDED_BLUR, "inpainting:0.5", "hdr:0.8,2.2"].into_iter().enumerate() {
        let stream = 500 + 10 * index as u64;
        let request = Message::request("5.2")
            .with("operator", name)
            .with("operator_seed", bench.number(&["operator"]))
            .with_batch("x_t", &bench.noise(stream))
            .with("sigma", 0.05 + 0.1 * index as f64)
            .with("gamma_t", 0.2);
        let b = operator(&request, SMALL_SHAPE)?.apply(&(bench.noise(stream + 1) * 0.5))?;
        requests.push(request.with_batch("b", &b));
    }
    // A measurement of another shape is an error, and no panic.
    requests.push(requests[0].clone().with_batch("b", &bench.noise_of((3, 3, 2, 7), 540)));
    Ok(requests)
}

fn ask_step(bench: &Bench) -> Result<Vec<Message>> {
    let requests = with_both_variances(&step_requests(bench, "5.3")).into_iter();
    Ok(requests
        .enumerate()
        .map(|(index, request)| request.with_batch("likelihood_score", &bench.noise(550 + index as u64)))
        .collect())
}

fn sampler_request(bench: &Bench) -> Message {
    Message::request("5.4b")
        .with("operator", LOPSIDED_BLUR)
        .with("operator_seed", bench.number(&["operator"]))
        .with("model", SMALL)
        .with("seed", bench.number(&["sampler"]))
        .with("sigma", SIGMA)
        .with("lambda", LAMBDA)
        .with("from", 1000)
        .with("steps", 20)
}

fn ask_sampler(bench: &Bench) -> Result<Vec<Message>> {
    let request = sampler_request(bench);
    let b = operator(&request, SMALL_SHAPE)?.apply(&(bench.noise(560) * 20.0))?;
    Ok(trace::requests(&request.with_batch("b", &b)))
}

/// What the guidance needs besides the score.
#[derive(Clone, Copy)]
struct Measurement<'a> {
    operator: &'a dyn ForwardOperator,
    b: &'a Array4<f32>,
    sigma: f64,
    lambda: f64,
}

/// The step without its noise.
fn mean(model: &dyn ScoreModel, of: Measurement<'_>, x_t: &Array4<f32>, step: &Step) -> Result<Array4<f32>> {
    let score = model.score(x_t, step.t)?;
    let likelihood = likelihood_score(of.operator, of.b, x_t, of.sigma, gamma(step, of.lambda))?;
    Ok(posterior_step(
        x_t,
        &score,
        &likelihood,
        &Array4::zeros(x_t.dim()),
        step,
    ))
}

fn judge_sampler(bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let (model, operator) = (small_model(bench)?, operator(&asked[0], SMALL_SHAPE)?);
    let steps = steps(&asked[0], &Schedule::linear())?;
    let b = asked[0].batch("b")?;
    let of = Measurement {
        operator: operator.as_ref(),
        b: &b,
        sigma: SIGMA,
        lambda: LAMBDA,
    };
    let nothing = Array4::zeros(bench.noise(0).dim());
    let expected = Expected {
        way: Way {
            model: &model,
            steps: &steps,
            passes: 1,
            start: (0.0, &nothing),
            mean: &|model, x_t, step| mean(model, of, x_t, step),
        },
        residuals: Some(&|x0_hat| Ok(norms(&residual(operator.as_ref(), &b, x0_hat)?))),
        pullbacks: 0,
    };
    trace::judge(&expected, &Runs::of(answers)?)
}

fn stray(bench: &Bench, request: &Message, answer: &Answered) -> Result<Option<String>> {
    let operator = operator(request, bench.prior.image_shape())?;
    let b = request.batch("b")?;
    let of = Measurement {
        operator: operator.as_ref(),
        b: &b,
        sigma: request.number("sigma")?,
        lambda: request.number("lambda")?,
    };
    let nothing = Array4::zeros(truth(bench, 0).dim());
    stray_from(bench, request, answer, (0.0, &nothing), &|model, x_t, step| {
        mean(model, of, x_t, step)
    })
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for operator in OPERATORS {
        requests.extend(runs(bench, |run| {
            Ok(measured_request(bench, "5.4b", operator, run)?
                .with("sigma", Noise::SIGMA)
                .with("lambda", tuned_lambda(STEPS, 1.0))
                .with("from", 1000)
                .with("steps", STEPS))
        })?);
    }
    Ok(requests)
}

fn measure_images(bench: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let mut measured = Measured::default();
    for (operator, answers) in OPERATORS.iter().zip(answers.chunks(answers.len() / OPERATORS.len())) {
        compared(bench, operator, answers, &mut measured)?;
    }
    Ok(measured)
}
