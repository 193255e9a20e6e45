//! The checks of task 2.

use anyhow::Result;
use diffusion::ScoreModel;
use exchange::Message;

use super::images::{Measured, compared, runs, truth};
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
        Check::new(task, "2.3", "images", ask_images, Kind::Images(measure_images)),
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
    let request = |schedule: &str, t: usize| {
        Message::request("2.3")
            .with("model", format!("{schedule}:{}", bench.seed))
            .with("t", t)
            .with_batch("x_t", &bench.noise(40 + t as u64))
    };
    let times = bench.times();
    let schedules = ["small", "cosine"].into_iter().cycle();
    let mut requests: Vec<Message> = times
        .iter()
        .zip(schedules)
        .map(|((t, _), name)| request(name, *t))
        .collect();
    requests.push(request("small", 0));
    requests.push(request("small", 100).with_batch("x_t", &bench.noise_of((2, 3, 5, 6), 1)));
    Ok(requests)
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for t in TIMES {
        let alpha_bar = bench.prior.schedule().alpha_bar(t);
        requests.extend(runs(bench, |run, seed| {
            let x0 = truth(bench, run);
            let eps = bench.noise_of(x0.dim(), seed.wrapping_add(1000 * t as u64));
            let x_t = x0 * alpha_bar.sqrt() as f32 + eps * (1.0 - alpha_bar).sqrt() as f32;
            Ok(Message::request("2.3").with("t", t).with_batch("x_t", &x_t))
        })?);
    }
    Ok(requests)
}

fn measure_images(bench: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let mut measured = Measured::default();
    for (t, answers) in TIMES.iter().zip(answers.chunks(answers.len() / TIMES.len())) {
        compared(bench, &format!("t = {t}"), answers, &mut measured)?;
    }
    Ok(measured)
}
