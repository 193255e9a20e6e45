//! When a sampler asked its model, against when it should.

use checks::Fault;
use diffusion::{Schedule, Step};
use probe::Event;

use crate::path::Path;
use crate::sampler::Loop;
use crate::setting::describe;

/// The model is asked once per step, at the step's time, about the whole batch.
///
/// # Errors
///
/// If not.
pub fn check_calls(spec: &Loop, path: &Path) -> Result<(), Fault> {
    let (name, steps, asked) = (spec.name, &path.setting.steps, path.asked());
    let fed = format!("fed: {}", describe(&path.setting));
    if let Some((x_t, _)) = asked.iter().find(|(x_t, _)| x_t.dim() != path.setting.batch()) {
        return Err(Fault::new(format!(
            "{name} asks the model about an array of the shape {:?}; the whole batch is {:?}",
            x_t.dim(),
            path.setting.batch()
        ))
        .fact(fed));
    }
    let times: Vec<usize> = asked.iter().map(|(_, t)| *t).collect();
    let right: Vec<usize> = steps.iter().map(|step| step.t).collect();
    // A run that ended early has a better reason to tell.
    if path.outcome.is_err() && times.len() < right.len() && right.starts_with(&times) {
        return Ok(());
    }
    if times != right {
        return Err(wrong_times(name, &times, &right, steps, path.seen().len()).fact(fed));
    }
    let with_pullback = path.count(|event| {
        matches!(
            event,
            Event::Score {
                with_pullback: true,
                ..
            }
        )
    });
    let called = path.count(|event| matches!(event, Event::Pullback));
    let wanted = steps.len() * spec.pullbacks;
    if path.outcome.is_ok() && called != wanted {
        return Err(Fault::new(format!(
            "{name} calls {called} pullbacks in {} steps, expected {wanted}: {} per step",
            steps.len(),
            spec.pullbacks
        ))
        .fact(fed));
    }
    if path.outcome.is_ok() && spec.pullbacks == 0 && with_pullback > 0 {
        return Err(Fault::new(format!(
            "{name} asks for {with_pullback} pullbacks that it never calls: model.score is what it needs"
        ))
        .fact(fed));
    }
    Ok(())
}

/// What is wrong with the times that the model was asked at.
///
/// - `times`: when it was asked; `right`: when it should have been, the `t` of `steps`
/// - `shown`: how many steps the observer was shown
#[must_use]
fn wrong_times(name: &str, times: &[usize], right: &[usize], steps: &[Step], shown: usize) -> Fault {
    let (asked, count) = (times.len(), right.len());
    let ends: Vec<usize> = steps.iter().map(|step| step.t_prev).collect();
    let each = |n: usize| {
        asked == n * count
            && times
                .iter()
                .zip(right.iter().flat_map(|t| vec![t; n]))
                .all(|(a, b)| a == b)
    };
    let shifted = |by: i64| asked == count && times.iter().zip(right).all(|(a, b)| *a as i64 == *b as i64 + by);
    let list = |times: &[usize]| {
        let head: Vec<String> = times.iter().take(6).map(usize::to_string).collect();
        head.join(", ") + if times.len() > 6 { ", ..." } else { "" }
    };
    let what = if asked > count && times.iter().all(|t| *t == times[0]) {
        format!(
            "the model is asked at t = {} again and again: the loop does not go on to the next step (it was stopped \
             after {asked} calls)",
            times[0]
        )
    } else if asked > count && times.starts_with(right) && times[count..].iter().all(|t| *t == times[count]) {
        format!(
            "after the last step the model is asked at t = {} again and again: the loop does not end (it was stopped \
             after {asked} calls)",
            times[count]
        )
    } else if asked == 0 {
        "the model was never asked for a score".to_owned()
    } else if let Some(n) = (2..=8).find(|n| each(*n)) {
        format!("the model is asked {n} times in each step: one call is enough, its score serves x0_hat and the step")
    } else if asked < count && right.starts_with(times) && shown == count {
        format!(
            "all {count} steps are shown to the observer, but the model is asked in the first {asked} alone: \
            each step needs the \
             score at its own x_t"
        )
    } else if asked + 1 == count && times == &right[..asked] {
        "the last step is left out".to_owned()
    } else if asked + 1 == count && times == &right[1..] {
        "the first step is left out".to_owned()
    } else if let Some(n) = (2..count).find(|n| times.iter().eq(right.iter().step_by(*n))) {
        format!("only every step number {n} is taken, the others are left out")
    } else if asked < count && right.starts_with(times) {
        format!("only the first {asked} of {count} steps are taken")
    } else if asked == count && times.iter().eq(right.iter().rev()) {
        "the steps are taken in the reverse order: `steps` goes down from T already".to_owned()
    } else if times == ends {
        "the score is asked for at step.t_prev, where the step ends; it is needed where it begins, at step.t".to_owned()
    } else if asked == count && times.iter().zip(&ends).all(|(a, b)| *a == (*b).max(1)) {
        "the score is asked for at step.t_prev (1 for 0), where the step ends; it is needed at step.t".to_owned()
    } else if asked == count && times.iter().eq(&of_whole_way(count)) {
        format!(
            "the steps that are taken lead from T down; `steps` begins at t = {}",
            right[0]
        )
    } else if shifted(-1) {
        "the score is asked for at step.t - 1; it is needed at step.t".to_owned()
    } else if shifted(1) {
        "the score is asked for at step.t + 1; it is needed at step.t".to_owned()
    } else if times.iter().copied().eq((1..=asked).rev()) || times.iter().copied().eq((0..asked).rev()) {
        "the times count steps down; the steps skip times: step.t is the time".to_owned()
    } else if asked > count && (0..asked).all(|i| times[i] + i == right[0]) {
        "all times from the first to 1 are visited; `steps` skips some of them".to_owned()
    } else if asked == count && (0..asked).all(|i| times[i] + i == right[0]) {
        format!(
            "the times go down one by one from {}; the steps skip times: step.t is the time",
            right[0]
        )
    } else if asked != count {
        format!("the model is asked {asked} times in {count} steps: once per step is right")
    } else {
        "the model is asked at other times than step.t".to_owned()
    };
    Fault::new(format!("{name}: {what}"))
        .fact(format!("asked {asked} times, at t = {}", list(times)))
        .fact(format!("{count} steps, at t = {}", list(right)))
}

/// The times of so many steps from `T`.
fn of_whole_way(count: usize) -> Vec<usize> {
    let steps = Schedule::linear().steps(count).unwrap_or_default();
    steps.iter().map(|step| step.t).collect()
}
