//! The checks of task 2.

use anyhow::Result;
use diffusion::ScoreModel;
use exchange::Message;

use super::asked::Answered;
use super::images::{ImageCheck, Measured, compared, runs, truth};
use super::models::{COSINE, SMALL};
use super::path::close;
use super::{Bench, Check, Kind};
use crate::course::task::Task;

/// The times at which hidden images are denoised.
const TIMES: [usize; 3] = [30, 100, 300];

/// All of them.
pub fn checks(task: Task) -> Vec<Check> {
    vec![
        Check::new(
            task,
            "2.1",
            "formula",
            ask_forward,
            Kind::Formula("x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps"),
        ),
        Check::new(
            task,
            "2.2",
            "formula",
            ask_tweedie,
            Kind::Formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "2.3",
            "formula",
            ask_denoise,
            Kind::Formula("one call of the model, then x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "2.3",
            "images",
            ask_images,
            Kind::Images(ImageCheck {
                measure: measure_images,
                stray,
            }),
        ),
    ]
}

fn alpha_bars(bench: &Bench) -> Vec<f64> {
    let schedule = bench.prior.schedule();
    bench.times().iter().map(|(t, _)| schedule.alpha_bar(*t)).collect()
}

fn ask_forward(bench: &Bench) -> Result<Vec<Message>> {
    let request = |(index, alpha_bar): (usize, f64)| {
        Message::request("2.1")
            .with_batch("x0", &bench.noise(2 * index as u64))
            .with_batch("eps", &bench.noise(2 * index as u64 + 1))
            .with("alpha_bar", alpha_bar)
    };
    Ok(alpha_bars(bench).into_iter().enumerate().map(request).collect())
}

fn ask_tweedie(bench: &Bench) -> Result<Vec<Message>> {
    let request = |(index, alpha_bar): (usize, f64)| {
        Message::request("2.2")
            .with_batch("x_t", &bench.noise(20 + 2 * index as u64))
            .with_batch("score", &bench.noise(21 + 2 * index as u64))
            .with("alpha_bar", alpha_bar)
    };
    Ok(alpha_bars(bench).into_iter().enumerate().map(request).collect())
}

/// On two schedules, as `alpha_bar` has to come from the model's; with times and shapes that the model refuses, too:
/// such an error is handed on.
fn ask_denoise(bench: &Bench) -> Result<Vec<Message>> {
    let request = |model: &str, t: usize| {
        Message::request("2.3")
            .with("model", model)
            .with("t", t)
            .with_batch("x_t", &bench.noise(40 + t as u64))
    };
    let times = bench.times();
    let models = [SMALL, COSINE].into_iter().cycle();
    let mut requests: Vec<Message> = times
        .iter()
        .zip(models)
        .map(|((t, _), name)| request(name, *t))
        .collect();
    requests.push(request(SMALL, 0));
    requests.push(request(SMALL, 100).with_batch("x_t", &bench.noise_of((2, 3, 5, 6), 1)));
    Ok(requests)
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for t in TIMES {
        let alpha_bar = bench.prior.schedule().alpha_bar(t);
        requests.extend(runs(bench, |run| {
            let x0 = truth(bench, run);
            let eps = bench.noise_of(x0.dim(), (1000 + 1000 * t + run) as u64);
            let x_t = x0 * alpha_bar.sqrt() as f32 + eps * (1.0 - alpha_bar).sqrt() as f32;
            Ok(Message::request("2.3").with("t", t).with_batch("x_t", &x_t))
        })?);
    }
    Ok(requests)
}

/// Tweedie's formula of what the network answered at `x_t`, and nothing else.
fn stray(bench: &Bench, request: &Message, answer: &Answered) -> Result<Option<String>> {
    let (t, x_t) = (request.number("t")?, request.batch("x_t")?);
    let Some(call) = answer.calls.iter().find(|call| call.t == t && call.x_t == x_t) else {
        return Ok(Some(
            "The network was not asked about the noisy images at their t.".into(),
        ));
    };
    let alpha_bar = bench.prior.schedule().alpha_bar(t);
    let x0_hat = (&x_t + &call.score * (1.0 - alpha_bar) as f32) / alpha_bar.sqrt() as f32;
    let is_it = answer
        .message
        .batch("result")
        .is_ok_and(|result| close(&result, &x0_hat));
    Ok((!is_it).then(|| "They are not Tweedie's formula of its score.".into()))
}

fn measure_images(bench: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let mut measured = Measured::default();
    for (t, answers) in TIMES.iter().zip(answers.chunks(answers.len() / TIMES.len())) {
        compared(bench, &format!("t = {t}"), answers, &mut measured)?;
    }
    Ok(measured)
}
