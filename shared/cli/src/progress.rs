//! How far a long computation has come.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use diffusion::{Observer, ScoreError, StepView};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use program::say;

use crate::run::check_interrupted;

/// A progress bar on standard error: what is done, how fast, how long it will take. Where standard error is no
/// terminal, a line every tenth of the way instead.
///
/// As an [`Observer`] it shows a sampler's `t` and residual, and stops the sampler after Ctrl-C.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: usize,
    /// Steps done before the sampler that is being watched.
    before: usize,
    done: usize,
    started: Instant,
    bar: Option<ProgressBar>,
    tenths: usize,
}

impl Progress {
    /// A bar for `total` steps of something, called `label`.
    #[must_use]
    pub fn new(label: &str, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix} [{bar:30}] {pos} of {len}{msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(label.to_owned());
            bar
        });
        Self {
            label: label.to_owned(),
            total,
            before: 0,
            done: 0,
            started: Instant::now(),
            bar,
            tenths: 0,
        }
    }

    /// Shows that `steps` more are done. `message` says more, such as `t = 30`; it may be empty.
    pub fn add(&mut self, steps: usize, message: &str) {
        self.before += steps;
        self.show(self.before, message);
    }

    /// Counts the steps of the next sampler from where the last one ended.
    pub fn next_run(&mut self) {
        self.before = self.done;
    }

    fn show(&mut self, done: usize, message: &str) {
        self.done = done;
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.set_message(self.details(done, message, elapsed));
            bar.set_position(done as u64);
        } else if let Some(line) = self.line(done, message, elapsed) {
            say(&line);
        }
    }

    /// The line to print, where another tenth of the way has been made.
    fn line(&mut self, done: usize, message: &str, elapsed: Duration) -> Option<String> {
        let tenths = (10 * done).checked_div(self.total).unwrap_or(10).min(10);
        if tenths <= self.tenths {
            return None;
        }
        self.tenths = tenths;
        Some(format!(
            "{}: {done} of {}{}",
            self.label,
            self.total,
            self.details(done, message, elapsed)
        ))
    }

    /// The message, the speed and the time left, each after a comma.
    fn details(&self, done: usize, message: &str, elapsed: Duration) -> String {
        let mut text = String::new();
        if !message.is_empty() {
            text.push_str(&format!(", {message}"));
        }
        let seconds = elapsed.as_secs_f64();
        if seconds > 0.0 && done > 0 {
            let left = seconds / done as f64 * self.total.saturating_sub(done) as f64;
            text.push_str(&format!(", {:.1}/s, {} left", done as f64 / seconds, clock(left)));
        }
        text
    }
}

impl Observer for Progress {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        check_interrupted()?;
        let mut message = format!("t = {}", view.step.t);
        if let Some(residual) = view.residual.filter(|residual| !residual.is_empty()) {
            let mean = residual.iter().sum::<f32>() / residual.len() as f32;
            message.push_str(&format!(", residual {mean:.3}"));
        }
        self.show(self.before + view.index + 1, &message);
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Seconds as minutes and seconds, and hours where there are any.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_terminal(total: usize) -> Progress {
        Progress {
            label: "sampling".into(),
            total,
            before: 0,
            done: 0,
            started: Instant::now(),
            bar: None,
            tenths: 0,
        }
    }

    #[test]
    fn a_line_every_tenth_of_the_way() {
        let mut progress = without_terminal(1000);
        let lines: Vec<String> = (1..=1000)
            .filter_map(|done| progress.line(done, "t = 7", Duration::from_secs(done as u64)))
            .collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "sampling: 100 of 1000, t = 7, 1.0/s, 15:00 left");
        assert_eq!(lines[9], "sampling: 1000 of 1000, t = 7, 1.0/s, 0:00 left");
    }

    #[test]
    fn few_steps_give_few_lines() {
        let mut progress = without_terminal(3);
        let lines = (1..=3)
            .filter_map(|done| progress.line(done, "", Duration::ZERO))
            .count();
        assert_eq!(lines, 3);
        assert_eq!(
            without_terminal(0).line(0, "", Duration::ZERO).as_deref(),
            Some("sampling: 0 of 0")
        );
    }

    #[test]
    fn long_times_have_hours() {
        assert_eq!(clock(59.6), "1:00");
        assert_eq!(clock(3725.0), "1:02:05");
    }
}
