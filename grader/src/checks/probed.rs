//! The cause of a sampler's fault, in the words of the public tests: besides the runs that points are given for,
//! workers run the sampler on the probe, and the engine of the tests judges the paths that it took there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use checks::Fault;
use diffusion::{Step, StepVariance};
use exchange::{Message, PROBE, events, probed_request};
use testing::path::{Path, most_calls};
use testing::sampler::{self, Take, ancestral};
use testing::setting::{Draws, Operator, Setting};
use testing::{dps, score_ald, sdedit};

use super::reference_without_model;
use crate::course::task::Task;

/// A loop, and what judges it.
struct Part {
    /// What requests call it.
    exercise: &'static str,
    /// The check that it belongs to.
    check: &'static str,
    /// A request with what the sampler is given besides its steps.
    given: fn(Message, &Setting) -> Message,
    judge: fn(&mut Take<'_>) -> Result<(), Fault>,
    asked: OnceLock<Vec<Message>>,
}

const fn part(
    check: &'static str,
    exercise: &'static str,
    given: fn(Message, &Setting) -> Message,
    judge: fn(&mut Take<'_>) -> Result<(), Fault>,
) -> Part {
    Part {
        exercise,
        check,
        given,
        judge,
        asked: OnceLock::new(),
    }
}

/// In the order in which faults are told.
static PARTS: [Part; 7] = [
    part(
        "3.3 sampler",
        "3.3",
        |request, _| request.with("form", "direct"),
        |take| sampler::judge(&ancestral("sample with StepForm::Direct"), take),
    ),
    part(
        "3.3 sampler",
        "3.3",
        |request, _| request.with("form", "through x0"),
        |take| sampler::judge(&ancestral("sample with StepForm::ThroughX0"), take),
    ),
    part("4.3 sampler", "4.3", edited, sdedit::guided::judge),
    part("4.3 sampler", "4.3", edited, sdedit::masked::judge),
    part(
        "4.5 sampler",
        "4.5",
        |request, setting| measured(request, setting).with("repeats", setting.passes),
        sdedit::restored::judge,
    ),
    part(
        "5.4 sampler",
        "5.4b",
        |request, setting| {
            let (sigma, lambda) = setting.guidance;
            measured(request, setting).with("sigma", sigma).with("lambda", lambda)
        },
        score_ald::judge,
    ),
    part(
        "6.5 sampler",
        "6.5",
        |request, setting| {
            let request = measured(request, setting).with("form", "normalised");
            request.with("zeta", setting.zeta)
        },
        |take| sampler::judge(&dps::NORMALISED, take),
    ),
];

fn edited(request: Message, setting: &Setting) -> Message {
    let request = request.with_batch("guide", &setting.guide());
    match setting.mask() {
        Some(mask) => request.with_array("mask", mask.into_dyn()),
        None => request,
    }
}

fn measured(request: Message, setting: &Setting) -> Message {
    let request = request.with_batch("b", &setting.measurement());
    match setting.operator {
        Operator::Probe => request.with("operator", PROBE).with("measured", setting.measured),
        Operator::Blur => request
            .with("operator", "blur")
            .with_array("kernel", Setting::kernel().mapv(|weight| weight as f32).into_dyn()),
    }
}

fn request(part: &Part, setting: &Setting) -> Message {
    let steps = setting.one_pass();
    let request = probed_request(part.exercise, setting.shape, most_calls(setting))
        .with("images", setting.images)
        .with("seed", setting.seed)
        .with("from", steps.first().map_or(0, |step| step.t))
        .with("steps", steps.len())
        .with("variance", rule(steps));
    let request = match setting.draws {
        Draws::Random => request,
        Draws::Still => request.with("draws", "still"),
    };
    let failing = [
        ("fails_at", setting.model_fails_at),
        ("stops_at", setting.observer_stops_at),
    ];
    let request = failing.into_iter().fold(request, |request, (name, call)| match call {
        Some(call) => request.with(name, call),
        None => request,
    });
    (part.given)(request, setting)
}

/// The name of the rule for the steps' noise.
fn rule(steps: &[Step]) -> &'static str {
    let follows = |rule| steps.iter().all(|step| *step == step.with_variance(rule));
    if steps.iter().all(|step| step.sigma == 0.0) {
        "none"
    } else if follows(StepVariance::Beta) {
        "beta"
    } else {
        "posterior"
    }
}

fn parts(check: &str) -> impl Iterator<Item = &'static Part> {
    PARTS.iter().filter(move |part| part.check == check)
}

/// What a worker is asked for a check, by its key; nothing where the check is of no loop. The runs are those in which
/// the reference solution is found right.
///
/// # Errors
///
/// If it is not.
pub fn requests(task: Task, check: &str) -> Result<Vec<Message>> {
    let mut requests = Vec::new();
    for part in parts(check) {
        if part.asked.get().is_none() {
            let _ = part.asked.set(runs_of_reference(task, part)?);
        }
        requests.extend(part.asked.get().cloned().unwrap_or_default());
    }
    Ok(requests)
}

fn runs_of_reference(task: Task, part: &Part) -> Result<Vec<Message>> {
    let mut asked = Vec::new();
    let verdict = (part.judge)(&mut |setting| {
        let request = request(part, setting);
        let path = path(setting, &reference_without_model(task, &request));
        asked.push(request);
        path.map_err(|error| Fault::new(format!("{error:#}")))
    });
    if let Err(fault) = verdict {
        bail!(
            "the reference solution of exercise {} is found wrong: {fault}",
            part.exercise
        );
    }
    Ok(asked)
}

/// The first fault that the engine finds in the answers to [`requests`], whatever these hold.
pub fn fault(check: &str, asked: &[Message], answers: &[Message]) -> Option<Fault> {
    let runs: Vec<(&Message, &Message)> = asked.iter().zip(answers).collect();
    parts(check).find_map(|part| {
        let judged = catch_unwind(AssertUnwindSafe(|| fault_of(part, &runs)));
        judged.ok().flatten()
    })
}

fn fault_of(part: &Part, runs: &[(&Message, &Message)]) -> Option<Fault> {
    let (mut is_told, mut used) = (true, vec![false; runs.len()]);
    let verdict = (part.judge)(&mut |setting| {
        let request = request(part, setting);
        // A run that is asked for twice was made twice; it may be looked at again afterwards.
        let is_it = |place: &usize| *runs[*place].0 == request;
        let fresh = (0..runs.len()).find(|place| is_it(place) && !used[*place]);
        let place = fresh.or_else(|| (0..runs.len()).find(is_it));
        let answer = place.map(|place| {
            used[place] = true;
            runs[place].1
        });
        if answer.is_some_and(|answer| answer.texts.contains_key("panic")) {
            return Err(Fault::new("the code panicked").fact(format!("fed: {}", testing::setting::describe(setting))));
        }
        let path = answer.context("was not asked").and_then(|answer| path(setting, answer));
        path.map_err(|_| {
            is_told = false;
            Fault::new("the answers do not tell what happened")
        })
    });
    verdict.err().filter(|_| is_told)
}

/// The path of a run, as an answer tells it.
fn path(setting: &Setting, answer: &Message) -> Result<Path> {
    let outcome = match answer.texts.get("returned") {
        Some(error) => Err(error.clone()),
        None => Ok(answer.batch("result")?),
    };
    Ok(Path::of(setting, events(answer)?, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of a reference solution in whose runs something was changed.
    fn answers(
        task: u8,
        check: &str,
        change: fn(&Message, Message) -> Message,
    ) -> Result<(Vec<Message>, Vec<Message>)> {
        let task = Task::all()
            .into_iter()
            .find(|listed| listed.number() == task)
            .context("a task")?;
        let asked = requests(task, check)?;
        let answers = asked
            .iter()
            .map(|asked| change(asked, reference_without_model(task, asked)))
            .collect();
        Ok((asked, answers))
    }

    #[test]
    fn right_answers_have_no_fault() -> Result<()> {
        for (task, check) in [
            (3, "3.3 sampler"),
            (4, "4.3 sampler"),
            (4, "4.5 sampler"),
            (5, "5.4 sampler"),
            (6, "6.5 sampler"),
        ] {
            let (asked, answers) = answers(task, check, |_, answer| answer)?;
            assert!(asked.len() > 7, "{check}");
            assert_eq!(fault(check, &asked, &answers), None, "{check}");
        }
        Ok(())
    }

    #[test]
    fn what_tells_nothing_has_no_cause() -> Result<()> {
        let (asked, answers) = answers(6, "6.5 sampler", |_, _| Message::default())?;
        assert_eq!(fault("6.5 sampler", &asked, &answers), None);
        Ok(())
    }

    #[test]
    fn results_that_are_twice_as_large_are_told() -> Result<()> {
        let twice = |_: &Message, answer: Message| match answer.batch("result") {
            Ok(result) => answer.with_batch("result", &(result * 2.0)),
            Err(_) => answer,
        };
        let (asked, answers) = answers(3, "3.3 sampler", twice)?;
        let fault = fault("3.3 sampler", &asked, &answers).context("a fault")?;
        assert!(fault.hint().contains("multiplied by 2"), "{fault}");
        Ok(())
    }
}
