//! Runs of a sampler on the probe, of which everything is told that happened.

use anyhow::{Context, Result, ensure};
use diffusion::{Schedule, Step};
use ndarray::{Array4, ArrayD, Ix1, Ix4, arr1};
use probe::{Event, Log, Numbers, ProbeModel, Seen, Watch};

use crate::record::Sampler;
use crate::{Message, steps};

/// What a request calls the probe, as its `model` and as its `operator`.
pub const PROBE: &str = "probe";

/// A request for a run on the probe, for images `[C, H, W]`; the model answers `most_calls` times.
#[must_use]
pub fn probed_request(exercise: &str, shape: [usize; 3], most_calls: usize) -> Message {
    let [c, h, w] = shape;
    Message::request(exercise)
        .with("model", PROBE)
        .with("shape", format!("{c} {h} {w}"))
        .with("most_calls", most_calls)
}

/// Whether a request asks for such a run.
#[must_use]
pub fn is_probed(request: &Message) -> bool {
    request.texts.get("model").is_some_and(|model| model == PROBE)
}

/// Runs a sampler on the probe with the request's steps, with random numbers from its number `seed`, or the known ones
/// where its text `draws` is `still`. The model fails at its call number `fails_at`, the observer at its call number
/// `stops_at`. The answer tells all [`events`], and the sampler's error, if any, as the text `returned`.
pub(crate) fn run_probed(request: &Message, sampler: &mut Sampler<'_>) -> Result<Message> {
    let log = Log::default();
    let shape = numbers(request.text("shape")?)?;
    let shape: [usize; 3] = shape.try_into().ok().context("`shape` should be three numbers")?;
    let mut model = ProbeModel::new(shape, &log, request.number("most_calls")?);
    if let Ok(call) = request.number("fails_at") {
        model = model.failing_at(call);
    }
    let mut watch = match request.number("stops_at") {
        Ok(call) => Watch::stopping_at(&log, call),
        Err(_) => Watch::new(&log),
    };
    let mut draws = match request.texts.get("draws").map(String::as_str) {
        Some("still") => Numbers::still(),
        _ => Numbers::drawn(request.number("seed")?),
    };
    let steps = steps(request, &Schedule::linear())?;
    let answer = match sampler(&model, &steps, &mut draws, &mut watch) {
        Ok(result) => Message::default().with_batch("result", &result),
        Err(error) => Message::default().with("returned", format!("{error:#}")),
    };
    Ok(told(answer, &log.events()))
}

/// An answer with what happened: event number 3 is the text `event 3`, its arrays are called `3 x_t` and the like.
fn told(answer: Message, events: &[Event]) -> Message {
    let answer = answer.with("events", events.len());
    events
        .iter()
        .enumerate()
        .fold(answer, |answer, (number, event)| told_of(answer, number, event))
}

fn told_of(answer: Message, number: usize, event: &Event) -> Message {
    let name = format!("event {number}");
    match event {
        Event::Score { x_t, t, with_pullback } => {
            let kind = if *with_pullback { "score+pullback" } else { "score" };
            answer
                .with(&name, format!("{kind} {t}"))
                .with_batch(&format!("{number} x_t"), x_t)
        }
        Event::Pullback => answer.with(&name, "pullback"),
        Event::Apply => answer.with(&name, "apply"),
        Event::Vjp => answer.with(&name, "vjp"),
        Event::Seen(seen) => {
            let Step {
                t,
                t_prev,
                alpha,
                alpha_bar,
                alpha_bar_prev,
                sigma,
                ..
            } = seen.step;
            let step = format!("{t} {t_prev} {alpha:e} {alpha_bar:e} {alpha_bar_prev:e} {sigma:e}");
            let answer = answer
                .with(&name, format!("seen {} {} {step}", seen.index, seen.num_steps))
                .with_batch(&format!("{number} x_t"), &seen.x_t)
                .with_batch(&format!("{number} x0_hat"), &seen.x0_hat);
            match &seen.residual {
                Some(norms) => answer.with_array(&format!("{number} residual"), arr1(norms).into_dyn()),
                None => answer,
            }
        }
    }
}

/// What an answer tells of a run.
///
/// # Errors
///
/// If it tells it in another way than a worker does.
pub fn events(answer: &Message) -> Result<Vec<Event>> {
    let count: usize = answer.number("events")?;
    (0..count).map(|number| event(answer, number)).collect()
}

fn event(answer: &Message, number: usize) -> Result<Event> {
    let text = answer.text(&format!("event {number}"))?;
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let batch = |name: &str| -> Result<Array4<f32>> { axes::<Ix4>(answer.array(&format!("{number} {name}"))?) };
    match kind {
        "score" | "score+pullback" => Ok(Event::Score {
            x_t: batch("x_t")?,
            t: rest.parse()?,
            with_pullback: kind != "score",
        }),
        "pullback" => Ok(Event::Pullback),
        "apply" => Ok(Event::Apply),
        "vjp" => Ok(Event::Vjp),
        _ => {
            let [index, num_steps, t, t_prev, alpha, alpha_bar, alpha_bar_prev, sigma] = rest
                .split(' ')
                .collect::<Vec<_>>()
                .try_into()
                .ok()
                .with_context(|| format!("`{text}` is no event"))?;
            let residual = match answer.array(&format!("{number} residual")) {
                Ok(norms) => Some(axes::<Ix1>(norms)?.to_vec()),
                Err(_) => None,
            };
            let (t, t_prev) = (t.parse()?, t_prev.parse()?);
            let schedule = Schedule::linear();
            ensure!(t_prev < t && t <= schedule.num_steps(), "`{text}` is no event");
            let step = Step {
                alpha: alpha.parse()?,
                alpha_bar: alpha_bar.parse()?,
                alpha_bar_prev: alpha_bar_prev.parse()?,
                sigma: sigma.parse()?,
                ..schedule.step(t, t_prev)
            };
            Ok(Event::Seen(Seen {
                index: index.parse()?,
                num_steps: num_steps.parse()?,
                step,
                x_t: batch("x_t")?,
                x0_hat: batch("x0_hat")?,
                residual,
            }))
        }
    }
}

fn axes<D: ndarray::Dimension>(array: &ArrayD<f32>) -> Result<ndarray::Array<f32, D>> {
    Ok(array.clone().into_dimensionality()?)
}

/// Whole numbers with blanks between them.
pub(crate) fn numbers(text: &str) -> Result<Vec<usize>> {
    text.split(' ')
        .map(|number| number.parse().with_context(|| format!("`{number}` is no number")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, encode};

    #[test]
    fn what_happened_comes_back_through_a_message() -> Result<()> {
        let request = probed_request("3.3", [1, 2, 3], 20)
            .with("seed", 1)
            .with("from", 500)
            .with("steps", 3)
            .with("variance", "none");
        let answer = run_probed(&request, &mut |model, steps, _, observer| {
            let x_t = Array4::from_elem((2, 1, 2, 3), 0.5);
            for (index, step) in steps.iter().enumerate() {
                let answer = model.score(&x_t, step.t)?;
                observer.observe(&diffusion::StepView {
                    step,
                    index,
                    num_steps: steps.len(),
                    x_t: &x_t,
                    x0_hat: &answer,
                    residual: Some(&[1.5, 2.5]),
                })?;
            }
            anyhow::bail!("this is where it ends")
        })?;
        let answer = decode(&encode(&[answer])?)?.remove(0);
        assert_eq!(answer.text("returned")?, "this is where it ends");
        let told = events(&answer)?;
        assert_eq!(told.len(), 6);
        let Event::Seen(seen) = &told[5] else {
            panic!("the last is what the observer saw")
        };
        assert_eq!(seen.step, steps(&request, &Schedule::linear())?[2]);
        assert_eq!((seen.step.sigma, seen.index), (0.0, 2));
        assert_eq!(seen.residual.as_deref(), Some([1.5, 2.5].as_slice()));
        Ok(())
    }
}
