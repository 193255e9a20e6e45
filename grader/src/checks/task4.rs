//! The checks of task 4.

use anyhow::Result;
use diffusion::{Schedule, ScoreModel, Step};
use exchange::{LOPSIDED_BLUR, Message, SMALL_SHAPE, operator, steps};
use imaging::{ForwardOperator, residual_norms};
use ndarray::{Array2, Array4, Axis};
use task4_sdedit::reverse_step;

use super::asked::Answered;
use super::images::{ImageCheck, Measured, compared, likeliness, measured_request, results, runs, stray_from};
use super::models::{SMALL, small_model};
use super::noise::correlation;
use super::path::Way;
use super::task3::{step_requests, with_both_variances};
use super::trace::{self, Expected, Runs, failure};
use super::{Bench, Check, Kind, Verdict};
use crate::bands::thresholds::Worse;
use crate::course::task::Task;

/// Operators on hidden images, with the time that the guide is noised to and the number of steps from there.
const CASES: [(&str, usize, usize); 2] = [("inpainting", 500, 25), ("deconvolution", 200, 10)];

/// Guides of the sampler checks are that much louder than an image, so that a guide with a wrong factor stands out from
/// the noise.
const LOUD: f32 = 40.0;

/// All of them.
pub fn checks(task: Task) -> Vec<Check> {
    vec![
        Check::new(
            task,
            "4.1",
            "formula",
            ask_noise,
            Kind::Formula("sqrt(alpha_bar) guide + sqrt(1 - alpha_bar) eps"),
        ),
        Check::new(
            task,
            "4.2",
            "x0_hat",
            |bench| Ok(step_requests(bench, "4.2a")),
            Kind::Formula("x0_hat = (x_t + (1 - alpha_bar_t) s) / sqrt(alpha_bar_t)"),
        ),
        Check::new(
            task,
            "4.2",
            "step",
            |bench| Ok(with_both_variances(&step_requests(bench, "4.2b"))),
            Kind::Formula("x_{t-1} = (x_t + (1 - alpha_t) s) / sqrt(alpha_t) + sigma_t z"),
        ),
        Check::new(task, "4.3", "sampler", ask_sampler, Kind::Sampler(judge_sampler)),
        Check::new(
            task,
            "4.4",
            "formula",
            ask_mask,
            Kind::Formula("mask x_t + (1 - mask) (sqrt(alpha_bar_t) image + sqrt(1 - alpha_bar_t) eps)"),
        ),
        Check::new(task, "4.5", "sampler", ask_restore, Kind::Sampler(judge_restore)),
        Check::new(
            task,
            "4.5",
            "images",
            ask_images,
            Kind::Images(ImageCheck {
                measure: measure_images,
                stray,
            }),
        ),
    ]
}

fn ask_noise(bench: &Bench) -> Result<Vec<Message>> {
    let request = |(index, (t, _)): (usize, (usize, usize))| {
        Message::request("4.1")
            .with_batch("guide", &bench.noise(2 * index as u64))
            .with_batch("eps", &bench.noise(2 * index as u64 + 1))
            .with("alpha_bar", Schedule::linear().alpha_bar(t))
    };
    Ok(bench.times().into_iter().enumerate().map(request).collect())
}

/// Half of the pixels, without any order in rows or columns.
fn mask(bench: &Bench) -> Array2<f32> {
    let noise = bench.noise(400);
    let first = noise.index_axis(Axis(0), 0);
    first
        .index_axis(Axis(0), 0)
        .mapv(|value| if value > 0.0 { 1.0 } else { 0.0 })
}

fn ask_mask(bench: &Bench) -> Result<Vec<Message>> {
    let request = |(index, (_, t)): (usize, (usize, usize))| {
        let stream = 410 + 10 * index as u64;
        Message::request("4.4")
            .with_batch("x_t", &bench.noise(stream))
            .with_batch("image", &bench.noise(stream + 1))
            .with_batch("eps", &bench.noise(stream + 2))
            .with_array("mask", mask(bench).into_dyn())
            .with("alpha_bar", Schedule::linear().alpha_bar(t))
    };
    Ok(bench.times().into_iter().enumerate().map(request).collect())
}

/// The four runs of every sampler check, one with a mask, and one without steps.
fn ask_sampler(bench: &Bench) -> Result<Vec<Message>> {
    let run = Message::request("4.3")
        .with("model", SMALL)
        .with("seed", bench.number(&["sampler"]))
        .with_batch("guide", &(bench.noise(300) * LOUD))
        .with("from", 600)
        .with("steps", 15);
    let mut requests = trace::requests(&run);
    requests.push(requests[0].clone().with_array("mask", mask(bench).into_dyn()));
    Ok(requests)
}

/// The step without its noise.
fn mean(model: &dyn ScoreModel, x_t: &Array4<f32>, step: &Step) -> Result<Array4<f32>> {
    let score = model.score(x_t, step.t)?;
    Ok(reverse_step(x_t, &score, &Array4::zeros(x_t.dim()), step))
}

fn judge_sampler(bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let model = small_model(bench)?;
    let steps = steps(&asked[0], &Schedule::linear())?;
    let guide = asked[0].batch("guide")?;
    let way = Way {
        model: &model,
        steps: &steps,
        passes: 1,
        start: (steps[0].alpha_bar, &guide),
        mean: &mean,
    };
    let expected = Expected {
        way,
        residuals: None,
        pullbacks: 0,
    };
    let runs = Runs::of(answers)?;
    let mut verdict = trace::judge(&expected, &runs)?;
    if let Some(fault) = wrong_mask(&mask(bench), &way, runs.more(0)?)
        && verdict.share > 0.0
    {
        verdict.share = (verdict.share - 1.0 / 3.0).max(0.0);
        verdict.text = format!("{}\nWith a mask: {fault}", verdict.text);
    }
    Ok(verdict)
}

/// Outside of the mask: the guide with the noise of each time, and at the end the guide itself. Inside: something else.
fn wrong_mask(mask: &Array2<f32>, way: &Way<'_>, answer: &Answered) -> Option<String> {
    if let Some(why) = failure(&answer.message) {
        return Some(why);
    }
    let (outside, guide) = (1.0 - mask, way.start.1);
    let Ok(result) = answer.message.batch("result") else {
        return Some("there is no result".into());
    };
    if result.dim() != guide.dim() {
        return Some("the shape of the result is wrong".into());
    }
    let calls = match way.calls(&answer.calls) {
        Ok(calls) => calls,
        Err(fault) => return Some(fault),
    };
    if &result * &outside != guide * &outside {
        return Some(
            "what must not change differs from the guide at the end: keep_outside belongs after the last step, too, \
                     where alpha_bar_prev is 1."
                .into(),
        );
    }
    if ((&result - guide) * mask)
        .iter()
        .all(|difference| difference.abs() < 1e-3)
    {
        return Some("nothing changed inside of the mask: is it inverted?".into());
    }
    let (mut squares, mut count) = (0.0, 0.0);
    let mut before = None;
    for (step, call) in way.steps.iter().zip(calls) {
        let eps = (&call.x_t - guide * step.alpha_bar.sqrt() as f32) / (1.0 - step.alpha_bar).sqrt() as f32;
        let eps = eps * &outside;
        let n = f64::from(outside.sum()) * (guide.dim().0 * guide.dim().1) as f64;
        squares += eps.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        count += n;
        let repeats = |before: &Array4<f32>| correlation(before.iter(), eps.iter()).abs() > 6.0 / n.sqrt();
        if before.as_ref().is_some_and(repeats) {
            return Some("outside of it the noise is that of the step before: draw a new eps in each step.".into());
        }
        before = Some(eps);
    }
    let variance = squares / count;
    ((variance - 1.0).abs() > 6.0 * (2.0f64 / count).sqrt()).then(|| {
        format!(
            "outside of it the guide should have the noise of the time after the step (alpha_bar_prev); its variance \
             is {variance:.3} of that."
        )
    })
}

fn small_operator(bench: &Bench) -> Result<Box<dyn ForwardOperator>> {
    operator(&restore_request(bench), SMALL_SHAPE)
}

fn restore_request(bench: &Bench) -> Message {
    Message::request("4.5")
        .with("operator", LOPSIDED_BLUR)
        .with("operator_seed", bench.number(&["operator"]))
        .with("model", SMALL)
        .with("seed", bench.number(&["sampler"]))
        .with("repeats", 2)
        .with("from", 500)
        .with("steps", 12)
}

fn ask_restore(bench: &Bench) -> Result<Vec<Message>> {
    let b = small_operator(bench)?.apply(&(bench.noise(500) * LOUD))?;
    Ok(trace::requests(&restore_request(bench).with_batch("b", &b)))
}

fn judge_restore(bench: &Bench, asked: &[Message], answers: &[Answered]) -> Result<Verdict> {
    let (model, operator) = (small_model(bench)?, small_operator(bench)?);
    let steps = steps(&asked[0], &Schedule::linear())?;
    let b = asked[0].batch("b")?;
    let start = operator.start_image(&b)?;
    let expected = Expected {
        way: Way {
            model: &model,
            steps: &steps,
            passes: 2,
            start: (steps[0].alpha_bar, &start),
            mean: &mean,
        },
        residuals: Some(&|x0_hat| Ok(residual_norms(operator.as_ref(), &b, x0_hat)?)),
        pullbacks: 0,
    };
    trace::judge(&expected, &Runs::of(answers)?)
}

/// A path from the start image of the measurement, noised.
fn stray(bench: &Bench, request: &Message, answer: &Answered) -> Result<Option<String>> {
    let operator = operator(request, bench.prior.image_shape())?;
    let start = operator.start_image(&request.batch("b")?)?;
    let alpha_bar = steps(request, bench.prior.schedule())?
        .first()
        .map_or(1.0, |step| step.alpha_bar);
    stray_from(bench, request, answer, (alpha_bar, &start), &mean)
}

fn ask_images(bench: &Bench) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for (operator, from, steps) in CASES {
        requests.extend(runs(bench, |run| {
            let request = measured_request(bench, "4.5", operator, run)?;
            Ok(request.with("repeats", 1).with("from", from).with("steps", steps))
        })?);
    }
    Ok(requests)
}

/// SDEdit's results are likely rather than close, so that both count.
fn measure_images(bench: &Bench, _: &[Message], answers: &[Message]) -> Result<Measured> {
    let mut measured = Measured::default();
    for ((operator, ..), answers) in CASES.iter().zip(answers.chunks(answers.len() / CASES.len())) {
        compared(bench, operator, answers, &mut measured)?;
        let images = results(answers, [2, 3, 64, 64])?;
        // Images that the prior denoises better than its own samples are no likelier, so that both sides are worse.
        let likeliness = likeliness(bench, &images)?;
        measured.add(operator, "PSNR of denoising the result", likeliness, Worse::Both);
    }
    Ok(measured)
}
