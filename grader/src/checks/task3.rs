//! The checks of task 3.

use anyhow::Result;
use diffusion::{Schedule, ScoreModel, Step};
use exchange::{Message, SMALL_SHAPE, steps};
use ndarray::{Array4, ArrayView3, Axis, s};
use task3_generate::ddpm_step_direct;

use super::asked::Answered;
use super::images::{ImageCheck, Measured, results, runs, side_by_side, stray_from};
use super::models::{SMALL, small_model};
use super::path::{Way, close};
use super::trace::{self, Expected, Runs, failure};
use super::{Bench, Check, Kind, Verdict};
use crate::bands::thresholds::Worse;
use crate::course::task::Task;

/// Images of a sampler check.
const SMALL_BATCH: usize = 4;
/// Images drawn from the prior, in each of two runs, and their steps.
const SAMPLES: usize = 4;
const STEPS: usize = 40;

/// All of them.
pub fn checks(task: Task) -> Vec<Check> {
    vec![
        Check::new(
            task,
            "3.1",
            "formula",
            ask_direct,
            Kind::Formula("x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z"),
        ),
        Check::new(
            task,
            "3.2",
            "x0_hat",
            ask_x0,
            Kind::Formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "3.2",
            "step",
            ask_through_x0,
            Kind::Formula(
                "sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t + sqrt(alpha_bar_{t-1}) (1 - alpha_t) / \
             (1 - alpha_bar_t) x0_hat + sigma_t z",
            ),
        ),
        Check::new(task, "3.3", "sampler", ask_sampler, Kind::Sampler(judge_sampler)),
        Check::new(
            task,
            "3.3",
            "images",
            ask_images,
            Kind::Images(ImageCheck {
                measure: measure_images,
                stray,
            }),
        ),
    ]
}

/// Requests with `x_t`, a score, noise and a step, which many exercises take.
pub fn step_requests(bench: &Bench, exercise: &str) -> Vec<Message> {
    let request = |(index, (t, t_prev)): (usize, (usize, usize))| {
        let stream = 100 + 10 * index as u64;
        Message::request(exercise)
            .with_batch("x_t", &bench.noise(stream))
            .with_batch("score", &bench.noise(stream + 1))
            .with_batch("z", &bench.noise(stream + 2))
            .with("t", t)
            .with("t_prev", t_prev)
    };
    bench.times().into_iter().enumerate().map(request).collect()
}

/// The same for a step that adds noise, with both rules for it: `sigma_t` is the step's, not a formula of its own.
pub fn with_both_variances(requests: &[Message]) -> Vec<Message> {
    let of_rule = |rule: &'static str| {
        requests
            .iter()
            .map(move |request| request.clone().with("variance", rule))
    };
    of_rule("beta").chain(of_rule("posterior")).collect()
}

fn ask_direct(bench: &Bench) -> Result<Vec<Message>> {
    Ok(with_both_variances(&step_requests(bench, "3.1")))
}

fn ask_x0(bench: &Bench) -> Result<Vec<Message>> {
    Ok(step_requests(bench, "3.2a"))
}

fn ask_through_x0(bench: &Bench) -> Result<Vec<Message>> {
    Ok(with_both_variances(&step_requests(bench, "3.2b")))
}

/// The four runs of every sampler check, and one in the other form.
fn ask_sampler(bench: &Bench) -> Result<Vec<Message>> {
    let run = Message::request("3.3")
        .with("model", SMALL)
        .with("seed", bench.number(&["sampler"]))
        .with("images", SMALL_BATCH)
        .with("form", "direct")
        .with("from", 1000)
        .with("steps", 20);
    let mut requests = trace::requests(&run);
    requests.push(requests[0].clone().with("form", "through x0"));
    Ok(requests)
}

/// The step without its noise.
fn mean(model: &dyn ScoreModel, x_t: &Array4<f32>, step: &Step) -> Result<Array4<f32>> {
    let score = model.score(x_t, step.t)?;
    Ok(ddpm_step_direct(x_t, &score, &Array4::zeros(x_t.dim()), step))
}

fn judge_sampler(bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let model = small_model(bench)?;
    let steps = steps(&asked[0], &Schedule::linear())?;
    let [c, h, w] = SMALL_SHAPE;
    let nothing = Array4::zeros((SMALL_BATCH, c, h, w));
    let way = Way {
        model: &model,
        steps: &steps,
        passes: 1,
        start: (0.0, &nothing),
        mean: &mean,
    };
    let expected = Expected {
        way,
        residuals: None,
        pullbacks: 0,
    };
    let runs = Runs::of(answers)?;
    let mut verdict = trace::judge(&expected, &runs)?;
    let other_form = &runs.more(0)?.message;
    let is_same = match (runs.watched.message.batch("result"), other_form.batch("result")) {
        (Ok(direct), Ok(through_x0)) => failure(other_form).is_none() && close(&through_x0, &direct),
        _ => false,
    };
    if !is_same && verdict.share > 0.0 {
        verdict.share = (verdict.share - 1.0 / 3.0).max(0.0);
        verdict
            .text
            .push_str("\nThe two forms of the step give different images from one seed; they should be the same.");
    }
    Ok(verdict)
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    runs(bench, |_| {
        Ok(Message::request("3.3")
            .with("images", SAMPLES)
            .with("form", "direct")
            .with("from", 1000)
            .with("steps", STEPS))
    })
}

fn stray(bench: &Bench, request: &Message, answer: &Answered) -> Result<Option<String>> {
    stray_from(
        bench,
        request,
        answer,
        (0.0, &Array4::zeros((SAMPLES, 3, 64, 64))),
        &mean,
    )
}

/// Fruit photographed on white have plain statistics that wrong samplers miss.
fn measure_images(_: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let samples = results(answers, [SAMPLES, 3, 64, 64])?;
    let mean =
        |of_one: fn(ArrayView3<'_, f32>) -> f64| samples.outer_iter().map(of_one).sum::<f64>() / samples.dim().0 as f64;
    let variety = f64::from(samples.std_axis(Axis(0), 1.0).mean().unwrap_or(0.0));
    let mut measured = Measured::default();
    // There is a right value of each, so that both sides are worse.
    for (name, value) in [
        ("mean of the corners", mean(corners)),
        ("mean difference of neighbouring pixels", mean(roughness)),
        ("standard deviation between samples", variety),
    ] {
        measured.add("samples", name, value, Worse::Both);
    }
    measured.pictures.push(side_by_side("samples", &[&samples])?);
    Ok(measured)
}

/// Mean of the four 6x6 corners: 1 is white.
fn corners(image: ArrayView3<'_, f32>) -> f64 {
    let parts = [
        image.slice(s![.., ..6, ..6]),
        image.slice(s![.., ..6, -6..]),
        image.slice(s![.., -6.., ..6]),
        image.slice(s![.., -6.., -6..]),
    ];
    parts
        .iter()
        .map(|part| f64::from(part.mean().unwrap_or(0.0)))
        .sum::<f64>()
        / 4.0
}

/// Mean absolute difference of horizontal neighbours.
fn roughness(image: ArrayView3<'_, f32>) -> f64 {
    let difference = &image.slice(s![.., .., 1..]) - &image.slice(s![.., .., ..-1]);
    difference.iter().map(|d| f64::from(d.abs())).sum::<f64>() / difference.len() as f64
}
