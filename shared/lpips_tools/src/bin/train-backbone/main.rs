//! Trains the embedded backbone of LPIPS: `cargo run -p lpips_tools --bin train-backbone -- --help`.

mod options;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use lpips_tools::training::{LabelledSet, Settings, Trainer};
use program::{catch_signals, print, stop_asked};
use training::{Begin, Log, bar, fingerprint, open_folder, read_split, require_same, require_same_data, write_json};

use crate::options::{DEFAULTS, Options};

/// CIFAR-10's images have 32x32 pixels.
const SIZE: usize = 32;
/// The classes that the network has outputs for.
const CLASSES: usize = 10;
const LOG_HEADER: &str = "epoch,minutes,training_loss,test_accuracy";
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run(options.threads, || run(&options))
}

fn run(options: &Options) -> Result<()> {
    let begin = if options.resume { Begin::GoOn } else { Begin::Anew };
    let _folder = open_folder(&options.out, &options.data, begin)?;
    let mut trainer = make_trainer(options)?;
    // The smaller part first: where it lacks, that is told at once.
    let (test, train) = (load(&options.data, "test")?, load(&options.data, "train")?);
    ensure!(
        train.classes == test.classes,
        "train/ and test/ hold other classes: {:?} and {:?}",
        train.classes,
        test.classes
    );
    let known_by = fingerprint(&train.images, &test.images);
    require_same_data(trainer.counters().data.as_deref(), &known_by)?;
    trainer.remember(known_by);
    if trainer.fraction(&train) >= 1.0 && options.out.join("training.json").exists() {
        print(&format!(
            "nothing to do: {} steps of training are made, and --epochs and --minutes count them in; name more to go \
             on",
            trainer.counters().step
        ));
        return Ok(());
    }
    catch_signals("stopping after this step and writing a checkpoint (once more to stop without)")?;
    print(&format!(
        "{} parameters, {} training and {} test images, {} threads",
        trainer.parameters(),
        train.images.count,
        test.images.count,
        rayon::current_num_threads()
    ));
    let mut log = Log::open(&options.out, LOG_HEADER, begin)?;
    train_loop(&options.out, &mut trainer, &train, &test, &mut log)?;
    if stop_asked().is_some() {
        print(&format!(
            "stopped at step {}; go on with --resume and the same --data and --out",
            trainer.counters().step
        ));
        return Ok(());
    }
    finish(&options.out, &trainer, &train, &test)
}

/// A training from scratch, or the one in --out. Of the settings of that one only the length may be another.
fn make_trainer(options: &Options) -> Result<Trainer> {
    if !options.resume {
        return Ok(Trainer::new(options.settings(DEFAULTS)));
    }
    let mut trainer = Trainer::resume(&options.out).context("cannot resume")?;
    let before = trainer.counters().settings;
    let Settings { epochs, minutes, .. } = options.settings(before);
    trainer.set_length(epochs, minutes);
    require_same("a setting", &trainer.counters().settings, &options.settings(before))?;
    Ok(trainer)
}

fn load(data: &Path, split: &str) -> Result<LabelledSet> {
    let set = LabelledSet::new(read_split(data, split, SIZE)?)?;
    let found = set.classes.len();
    ensure!(
        found == CLASSES,
        "{split}/ holds {found} classes ({:?}), expected {CLASSES}",
        set.classes
    );
    Ok(set)
}

/// Trains until all epochs are over or the program is asked to stop, and writes a checkpoint in either case.
fn train_loop(out: &Path, trainer: &mut Trainer, train: &LabelledSet, test: &LabelledSet, log: &mut Log) -> Result<()> {
    let per_epoch = trainer.steps_per_epoch(train);
    let bar = bar(1000, "{wide_bar} {percent}% {msg}");
    let (mut loss, mut steps, mut saved) = (0.0, 0, Instant::now());
    while trainer.fraction(train) < 1.0 && stop_asked().is_none() {
        steps += 1;
        let weight = (1.0 / f64::from(steps)).max(0.005);
        loss += weight * (trainer.step(train)? - loss);
        let step = trainer.counters().step;
        show(&bar, trainer, loss, trainer.fraction(train));
        if step.is_multiple_of(per_epoch) {
            let accuracy = trainer.accuracy(test)?;
            trainer.write_weights(&out.join("weights.safetensors"))?;
            let (epoch, minutes) = (step / per_epoch, trainer.counters().seconds / 60.0);
            let percent = 100.0 * accuracy;
            bar.suspend(|| {
                print(&format!(
                    "epoch {epoch}: {minutes:.1} min, training loss {loss:.4}, test accuracy {percent:.2} %"
                ));
            });
            log.write(&format!("{epoch},{minutes:.2},{loss:.5},{accuracy:.4}"))?;
        }
        if step.is_multiple_of(per_epoch) || saved.elapsed() > BETWEEN_CHECKPOINTS {
            trainer.save(out)?;
            saved = Instant::now();
        }
    }
    bar.finish_and_clear();
    trainer.save(out)
}

/// Measures the network and writes what was found.
fn finish(out: &Path, trainer: &Trainer, train: &LabelledSet, test: &LabelledSet) -> Result<()> {
    trainer.write_weights(&out.join("weights.safetensors"))?;
    let accuracy = trainer.accuracy(test)?;
    let report = serde_json::json!({
        "parameters": trainer.parameters(),
        "classes": train.classes,
        "train_images": train.images.count,
        "test_images": test.images.count,
        "test_accuracy": accuracy,
        "settings": trainer.counters().settings,
        "steps": trainer.counters().step,
        "minutes": trainer.counters().seconds / 60.0,
    });
    let path = out.join("training.json");
    write_json(&path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!(
        "test accuracy {:.2} %; all files are in {}",
        100.0 * accuracy,
        out.display()
    ));
    Ok(())
}

fn show(bar: &ProgressBar, trainer: &Trainer, loss: f64, fraction: f64) {
    let counters = trainer.counters();
    let images = counters.step as f64 / counters.seconds * counters.settings.batch as f64;
    let minutes_left = counters.seconds / 60.0 * (1.0 / fraction - 1.0).max(0.0);
    let line = format!(
        "step {}, loss {loss:.4}, {images:.0} images/s, {minutes_left:.1} min left",
        counters.step
    );
    if bar.is_hidden() && counters.step.is_multiple_of(100) {
        print(&line);
    }
    bar.set_position((1000.0 * fraction) as u64);
    bar.set_message(line);
}
