//! The course of a training: steps, validations, previews and checkpoints, until it is done or asked to stop.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use imaging::PixelSet;
use indicatif::ProgressBar;
use nn::Backend;
use program::{print, stop_asked};
use trainer::{Ahead, Checkpoint, Length, Progress, TrainError, Trainer, denoising_preview};
use training::{Begin, Log, bar};

use crate::options::Options;

const LOG_HEADER: &str = "step,images_seen,minutes,training_loss,validation_loss,loss_that_decides";
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(300);

/// The images of both parts of the data set.
pub struct Data {
    pub train: PixelSet,
    pub test: PixelSet,
}

/// Trains until `length` is reached or the program is asked to stop, and writes a checkpoint in either case. One is
/// tried, too, where something else fails than the training itself.
pub fn train<B: Backend>(
    options: &Options,
    begin: Begin,
    trainer: &mut Trainer<B>,
    data: &Data,
    length: Length,
) -> Result<()> {
    let mut log = Log::open(&options.out, LOG_HEADER, begin)?;
    let mut report = Report::new(length, trainer.counters().images_seen);
    let outcome = thread::scope(|scope| {
        let mut batches = trainer.batches(scope, &data.train);
        steps(options, trainer, &mut batches, &data.test, &mut log, &mut report)
    });
    report.bar.finish_and_clear();
    let diverged = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(TrainError::Diverged { .. }));
    match outcome {
        Err(error) if diverged(&error) => Err(error),
        outcome => {
            let saved = trainer.save(&options.out);
            outcome?;
            Ok(saved?)
        }
    }
}

fn steps<B: Backend>(
    options: &Options,
    trainer: &mut Trainer<B>,
    batches: &mut Ahead,
    test: &PixelSet,
    log: &mut Log,
    report: &mut Report,
) -> Result<()> {
    let length = report.length;
    let mut last_checkpoint = Instant::now();
    let mut validated = None;
    while length.fraction(trainer.counters()) < 1.0 && stop_asked().is_none() {
        let progress = trainer.step(batches, length.fraction(trainer.counters()))?;
        report.step(&progress, trainer.counters());
        if progress.step.is_multiple_of(options.validate_every) {
            validate(trainer, test, &options.out, report, log)?;
            validated = Some(progress.step);
        }
        if progress.step.is_multiple_of(options.preview_every) {
            write_preview(trainer, test, &options.out)?;
        }
        if last_checkpoint.elapsed() > BETWEEN_CHECKPOINTS {
            trainer.save(&options.out)?;
            last_checkpoint = Instant::now();
        }
    }
    if stop_asked().is_none() && validated != Some(trainer.counters().step) {
        validate(trainer, test, &options.out, report, log)?;
    }
    Ok(())
}

/// Measures the validation loss, says it, and adds it to the log.
fn validate<B: Backend>(
    trainer: &mut Trainer<B>,
    test: &PixelSet,
    out: &Path,
    report: &Report,
    log: &mut Log,
) -> Result<()> {
    let (losses, improved) = trainer.validate(test, out)?;
    let loss = losses.all;
    let verdict = if improved {
        "best so far, weights written"
    } else {
        "not better"
    };
    let Checkpoint {
        step,
        images_seen,
        seconds,
        ..
    } = trainer.counters();
    let minutes = seconds / 60.0;
    // No step in this run: no training loss.
    let (said, logged) = report.loss.map_or(("none yet".into(), String::new()), |loss| {
        (format!("{loss:.5}"), format!("{loss:.5}"))
    });
    report.say(&format!(
        "step {step}: {images_seen} images seen, {minutes:.1} min, training loss {said}, validation loss {loss:.5}, \
         {:.5} on the half that decides ({verdict})",
        losses.chosen_on
    ));
    log.write(&format!(
        "{step},{images_seen},{minutes:.2},{logged},{loss:.5},{:.5}",
        losses.chosen_on
    ))
}

fn write_preview<B: Backend>(trainer: &Trainer<B>, test: &PixelSet, out: &Path) -> Result<()> {
    let preview = denoising_preview(trainer.average(), test)?;
    let path = out.join(format!("preview_{:06}.png", trainer.counters().step));
    Ok(imaging::save_png(&path, &preview)?)
}

/// The running loss and speed, on a progress bar where there is a terminal and as lines where there is none.
struct Report {
    length: Length,
    bar: ProgressBar,
    start: Instant,
    steps: u64,
    /// Images seen before this run.
    images_before: u64,
    /// None before the first step of this run.
    loss: Option<f64>,
}

impl Report {
    fn new(length: Length, images_before: u64) -> Self {
        Self {
            length,
            bar: bar(1000, "{wide_bar} {percent}% {msg}"),
            start: Instant::now(),
            steps: 0,
            images_before,
            loss: None,
        }
    }

    fn step(&mut self, progress: &Progress, counters: &Checkpoint) {
        self.steps += 1;
        let weight = (1.0 / self.steps as f64).max(0.02);
        let before = self.loss.unwrap_or(progress.loss);
        let loss = before + weight * (progress.loss - before);
        self.loss = Some(loss);
        let speed = (counters.images_seen - self.images_before) as f64 / self.start.elapsed().as_secs_f64();
        let line = format!(
            "step {} loss {loss:.4} {speed:.1} images/s, {:.1} min left",
            progress.step,
            self.length.minutes_left(counters)
        );
        if self.bar.is_hidden() && self.steps.is_multiple_of(100) {
            print(&line);
        }
        self.bar.set_position((1000.0 * self.length.fraction(counters)) as u64);
        self.bar.set_message(line);
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| print(line));
    }
}
