//! Trains the embedded backbone of LPIPS: `cargo run -p lpips_tools --bin train-backbone -- --help`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lpips_tools::training::{CHECKPOINT_FILE, LabelledSet, Settings, Trainer};

/// CIFAR-10's images have 32x32 pixels.
const SIZE: usize = 32;
/// The classes that the network has outputs for.
const CLASSES: usize = 10;
const DEFAULT_EPOCHS: u64 = 20;

/// Train the backbone that LPIPS (embedded) measures distances with, to tell ten classes of images apart.
///
/// Writes into --out: weights.safetensors (the moving average of the weights, after every epoch), checkpoint.ckpt (to
/// go on from with --resume), log.csv and, at the end, training.json.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// Data set: a folder or zip file with images at train/CLASS/FILE and test/CLASS/FILE, ten classes (CIFAR-10)
    #[arg(long, value_name = "DIR_OR_ZIP")]
    data: PathBuf,
    /// Folder for everything that the training writes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the checkpoint in --out, with the settings it was started with; only --epochs or --minutes may be new
    #[arg(long)]
    resume: bool,
    /// Passes over the training images [default: 20, unless --minutes is given]
    #[arg(long)]
    epochs: Option<u64>,
    /// Train for this many minutes altogether instead, runs before --resume counted in, tests not
    #[arg(long, conflicts_with = "epochs")]
    minutes: Option<f64>,
    /// Images in a batch
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Learning rate after the warm-up; it falls along a cosine to zero
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.05)]
    weight_decay: f64,
    /// Label smoothing
    #[arg(long, default_value_t = 0.1)]
    smoothing: f32,
    /// Decay of the moving average of the weights
    #[arg(long, default_value_t = 0.998)]
    average_decay: f64,
    /// Steps over which the learning rate rises from zero
    #[arg(long, default_value_t = 300)]
    warmup_steps: u64,
    /// Seed of the first weights and of every batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match start_threads(options.threads).and_then(|()| rayon::scope(|_| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    anyhow::ensure!(threads != Some(0), "--threads must be at least 1");
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build_global()?)
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut trainer = make_trainer(options)?;
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make the folder {}", options.out.display()))?;
    let (train, test) = (load(&options.data, "train")?, load(&options.data, "test")?);
    anyhow::ensure!(
        train.classes == test.classes,
        "train/ and test/ hold other classes: {:?} and {:?}",
        train.classes,
        test.classes
    );
    println!(
        "{} parameters, {} training and {} test images, {} threads",
        trainer.parameters(),
        train.images.count,
        test.images.count,
        rayon::current_num_threads()
    );
    let stop = catch_interrupt()?;
    train_loop(&options.out, &mut trainer, &train, &test, &stop)
}

fn make_trainer(options: &Options) -> anyhow::Result<Trainer> {
    anyhow::ensure!(
        options
            .minutes
            .is_none_or(|minutes| minutes > 0.0 && minutes.is_finite()),
        "--minutes must be a positive number"
    );
    if options.resume {
        let mut trainer = Trainer::resume(&options.out).context("cannot resume")?;
        if options.epochs.is_some() || options.minutes.is_some() {
            let epochs = options.epochs.unwrap_or(trainer.counters().settings.epochs);
            trainer.set_length(epochs, options.minutes);
        }
        check(&trainer.counters().settings)?;
        return Ok(trainer);
    }
    anyhow::ensure!(
        !options.out.join(CHECKPOINT_FILE).exists(),
        "{} already holds a training: go on with --resume, or choose another --out",
        options.out.display()
    );
    let settings = Settings {
        epochs: options.epochs.unwrap_or(DEFAULT_EPOCHS),
        minutes: options.minutes,
        batch: options.batch,
        learning_rate: options.learning_rate,
        weight_decay: options.weight_decay,
        smoothing: options.smoothing,
        average_decay: options.average_decay,
        warmup_steps: options.warmup_steps,
        seed: options.seed,
    };
    check(&settings)?;
    Ok(Trainer::new(settings))
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    let Settings {
        epochs,
        batch,
        learning_rate,
        weight_decay,
        smoothing,
        average_decay,
        ..
    } = *settings;
    anyhow::ensure!(epochs > 0, "--epochs must be at least 1");
    anyhow::ensure!(
        (1..=4096).contains(&batch),
        "--batch must be from 1 to 4096, is {batch}"
    );
    let rates = [
        ("--learning-rate", learning_rate),
        ("--weight-decay", weight_decay),
        ("--smoothing", f64::from(smoothing)),
        ("--average-decay", average_decay),
    ];
    for (flag, value) in rates {
        anyhow::ensure!(
            (0.0..1.0).contains(&value),
            "{flag} must be from 0 to below 1, is {value}"
        );
    }
    Ok(())
}

fn load(data: &Path, split: &str) -> anyhow::Result<LabelledSet> {
    let bar = ProgressBar::new(0)
        .with_style(style("{msg} {wide_bar} {pos}/{len}"))
        .with_message(format!("reading {split}"));
    let images = imaging::load_split(data, split, SIZE, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let set = LabelledSet::new(images)?;
    let found = set.classes.len();
    anyhow::ensure!(
        found == CLASSES,
        "{split}/ holds {found} classes ({:?}), expected {CLASSES}",
        set.classes
    );
    Ok(set)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn catch_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step and writing a checkpoint (press Ctrl-C again to stop without)");
    })?;
    Ok(stop)
}

/// Trains until all epochs are over or Ctrl-C.
fn train_loop(
    out: &Path,
    trainer: &mut Trainer,
    train: &LabelledSet,
    test: &LabelledSet,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let per_epoch = trainer.steps_per_epoch(train);
    let bar = ProgressBar::new(1000).with_style(style("{wide_bar} {percent}% {msg}"));
    let (mut loss, mut steps, mut saved) = (0.0, 0, Instant::now());
    while trainer.fraction(train) < 1.0 && !stop.load(Ordering::SeqCst) {
        steps += 1;
        let weight = (1.0 / f64::from(steps)).max(0.005);
        loss += weight * (trainer.step(train)? - loss);
        let step = trainer.counters().step;
        say(&bar, trainer, loss, trainer.fraction(train));
        if step.is_multiple_of(per_epoch) {
            let found = trainer.accuracy(test)?;
            trainer.write_weights(&out.join("weights.safetensors"))?;
            log(out, trainer, step / per_epoch, loss, found, &bar)?;
        }
        if step.is_multiple_of(per_epoch) || saved.elapsed() > Duration::from_secs(120) {
            trainer.save(out)?;
            saved = Instant::now();
        }
    }
    bar.finish_and_clear();
    trainer.save(out)?;
    if trainer.fraction(train) < 1.0 {
        println!("stopped at step {}; go on with --resume", trainer.counters().step);
        return Ok(());
    }
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
    std::fs::write(out.join("training.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    println!(
        "test accuracy {:.2} %; all files are in {}",
        100.0 * accuracy,
        out.display()
    );
    Ok(())
}

fn say(bar: &ProgressBar, trainer: &Trainer, loss: f64, fraction: f64) {
    let counters = trainer.counters();
    let images = counters.step as f64 / counters.seconds * counters.settings.batch as f64;
    let minutes_left = counters.seconds / 60.0 * (1.0 / fraction - 1.0).max(0.0);
    let line = format!(
        "step {}, loss {loss:.4}, {images:.0} images/s, {minutes_left:.1} min left",
        counters.step
    );
    if bar.is_hidden() && counters.step.is_multiple_of(100) {
        println!("{line}");
    }
    bar.set_position((1000.0 * fraction) as u64);
    bar.set_message(line);
}

/// One line on the screen and in `log.csv` for each epoch.
fn log(out: &Path, trainer: &Trainer, epoch: u64, loss: f64, accuracy: f64, bar: &ProgressBar) -> anyhow::Result<()> {
    let minutes = trainer.counters().seconds / 60.0;
    let line = format!(
        "epoch {epoch}: {minutes:.1} min, training loss {loss:.4}, test accuracy {:.2} %",
        100.0 * accuracy
    );
    if bar.is_hidden() {
        println!("{line}");
    } else {
        bar.println(line);
    }
    let path = out.join("log.csv");
    let fresh = !path.exists();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if fresh {
        writeln!(file, "epoch,minutes,training_loss,test_accuracy")?;
    }
    writeln!(file, "{epoch},{minutes:.2},{loss:.5},{accuracy:.4}")?;
    Ok(())
}
