//! Trains a score network on a folder or zip of images: `cargo run -p trainer -- --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use imaging::PixelSet;
use indicatif::{ProgressBar, ProgressStyle};
use nn::{Backend, DeviceExt, Parameters};
use score_unet::unet::UNet;
use score_unet::{Device, DeviceChoice, UNetConfig, folder_name};
use trainer::command::run_command;
use trainer::{
    CHECKPOINT_FILE, Card, Checkpoint, DENOISING_TIMES, Progress, Trainer, TrainerConfig, denoising_preview,
    denoising_psnr, validation_loss, write_card,
};

/// Train a score network on images.
///
/// Writes into --out: weights.safetensors and config.json (whenever the validation loss is the lowest so far),
/// training.json (what was measured), checkpoint.ckpt (to go on from with --resume), log.csv and preview_*.png.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// Data set: a folder or zip file with images below train/ and test/
    #[arg(long, value_name = "DIR_OR_ZIP")]
    data: PathBuf,
    /// Folder for everything that the training writes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Train for this many minutes altogether, runs before --resume counted in, validation and previews not
    /// [default: 60, unless --steps is given]
    #[arg(long, conflicts_with = "steps")]
    minutes: Option<f64>,
    /// Train for this many optimiser steps altogether instead
    #[arg(long)]
    steps: Option<u64>,
    /// Go on from the checkpoint in --out
    #[arg(long)]
    resume: bool,
    /// Start from the weights of this prior (a folder), with a fresh optimiser
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Network configuration, a JSON file [default: the 4-million-parameter network of fruits64]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seed of the first weights and of every batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Device to train on: cpu, cuda, cuda:N or auto; a checkpoint goes on on any
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Images in a batch
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Learning rate after the warm-up; it falls along a cosine to 5 % of that
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Largest relative change of each colour channel of a training image
    #[arg(long, default_value_t = 0.0)]
    colour_jitter: f32,
    /// Measure the validation loss every so many steps
    #[arg(long, default_value_t = 500)]
    validate_every: u64,
    /// Write a picture every so many steps: validation images at four noise levels, noisy above, denoised below
    #[arg(long, default_value_t = 2000)]
    preview_every: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    run_command(options.threads, || run(&options))
}

/// How long to train, earlier runs counted in, so that a resumed training follows the same learning-rate curve.
enum Budget {
    Minutes(f64),
    Steps(u64),
}

impl Budget {
    fn new(options: &Options) -> anyhow::Result<Self> {
        match (options.steps, options.minutes.unwrap_or(60.0)) {
            (Some(0), _) => anyhow::bail!("--steps must be at least 1"),
            (Some(steps), _) => Ok(Self::Steps(steps)),
            (None, minutes) if minutes > 0.0 && minutes.is_finite() => Ok(Self::Minutes(minutes)),
            (None, minutes) => anyhow::bail!("--minutes must be a positive number, is {minutes}"),
        }
    }

    /// The part of the training that is over, from 0 to 1.
    fn fraction(&self, counters: &Checkpoint) -> f64 {
        match self {
            Self::Minutes(minutes) => counters.seconds / (60.0 * minutes),
            Self::Steps(steps) => counters.step as f64 / *steps as f64,
        }
    }

    fn minutes_left(&self, counters: &Checkpoint) -> f64 {
        let fraction = self.fraction(counters).max(1e-9);
        (counters.seconds / 60.0 * (1.0 / fraction - 1.0)).max(0.0)
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    check(options)?;
    match options.device.open(|line| println!("{line}"))? {
        Device::Cpu(cpu) => train_on(&cpu, options),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => trainer::command::without_device_panic(|| train_on(&gpu, options)),
    }
}

fn train_on<B: Backend>(backend: &B, options: &Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make the folder {}", options.out.display()))?;
    let network = match &options.config {
        Some(path) => UNetConfig::read(path)?,
        None => UNetConfig::fruits64(),
    };
    let mut trainer = make_trainer(backend, options, &network)?;
    let channels = trainer.counters().config.image_channels;
    anyhow::ensure!(
        channels == 3,
        "the network is for images of {channels} channels, expected 3: images are read as RGB; set image_channels to 3"
    );
    let size = trainer.counters().config.image_size;
    let train = load(&options.data, "train", size)?;
    let test = load(&options.data, "test", size)?;

    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step and writing a checkpoint (press Ctrl-C again to stop without)");
    })?;

    println!(
        "{} parameters, {} training and {} validation images, {} threads, on {}",
        trainer.average().count(),
        train.count,
        test.count,
        rayon::current_num_threads(),
        backend.device().describe()
    );
    let interrupted = train_loop(options, &mut trainer, &train, &test, &stop)?;
    if interrupted {
        println!(
            "stopped at step {}; go on with --resume, all other options as before",
            trainer.counters().step
        );
        return Ok(());
    }
    finish(options, &trainer, &train, &test)
}

fn check(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(options.threads != Some(0), "--threads must be at least 1");
    anyhow::ensure!(
        (1..=4096).contains(&options.batch),
        "--batch must be from 1 to 4096, is {}",
        options.batch
    );
    let rate = options.learning_rate;
    anyhow::ensure!(
        rate > 0.0 && rate < 1.0,
        "--learning-rate must be above 0 and below 1, is {rate}"
    );
    let jitter = options.colour_jitter;
    anyhow::ensure!(
        (0.0..1.0).contains(&jitter),
        "--colour-jitter must be from 0 to below 1, is {jitter}"
    );
    anyhow::ensure!(options.validate_every > 0, "--validate-every must be at least 1");
    anyhow::ensure!(options.preview_every > 0, "--preview-every must be at least 1");
    Ok(())
}

fn make_trainer<B: Backend>(backend: &B, options: &Options, network: &UNetConfig) -> anyhow::Result<Trainer<B>> {
    let config = TrainerConfig {
        batch: options.batch,
        learning_rate: options.learning_rate,
        colour_jitter: options.colour_jitter,
        ..TrainerConfig::default()
    };
    if options.resume {
        return Trainer::resume(backend, &options.out, config).context("cannot resume");
    }
    if let Some(folder) = &options.init {
        let network = UNetConfig::read(&folder.join("config.json"))?;
        let weights = folder.join("weights.safetensors");
        return Ok(Trainer::from_weights(
            backend,
            &network,
            &weights,
            config,
            options.seed,
        )?);
    }
    anyhow::ensure!(
        !options.out.join(CHECKPOINT_FILE).exists(),
        "{} already holds a training: go on with --resume, or choose another --out",
        options.out.display()
    );
    Ok(Trainer::new(backend, network, config, options.seed)?)
}

fn load(data: &Path, split: &str, size: usize) -> anyhow::Result<PixelSet> {
    let bar = ProgressBar::new(0)
        .with_style(style("{msg} {wide_bar} {pos}/{len}"))
        .with_message(format!("reading {split}"));
    let set = imaging::load_split(data, split, size, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if set.adapted > 0 {
        println!(
            "{} of the {} {split} images were cropped or resized to {size}x{size}",
            set.adapted, set.count
        );
    }
    Ok(set)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Trains until the budget is spent or Ctrl-C. Returns whether it was interrupted.
fn train_loop<B: Backend>(
    options: &Options,
    trainer: &mut Trainer<B>,
    train: &PixelSet,
    test: &PixelSet,
    stop: &AtomicBool,
) -> anyhow::Result<bool> {
    let budget = Budget::new(options)?;
    let mut log = Log::open(&options.out)?;
    let mut report = Report::new();
    let mut last_checkpoint = Instant::now();
    while budget.fraction(trainer.counters()) < 1.0 && !stop.load(Ordering::SeqCst) {
        let progress = trainer.step(train, budget.fraction(trainer.counters()))?;
        let counters = trainer.counters();
        report.step(
            &progress,
            options.batch,
            budget.minutes_left(counters),
            budget.fraction(counters),
        );
        if progress.step.is_multiple_of(options.validate_every) {
            let loss = validate(trainer, test, &options.out, &report)?;
            log.write(trainer, report.loss, loss)?;
        }
        if progress.step.is_multiple_of(options.preview_every) {
            write_preview(trainer, test, &options.out)?;
        }
        if last_checkpoint.elapsed() > Duration::from_secs(300) {
            trainer.save(&options.out)?;
            last_checkpoint = Instant::now();
        }
    }
    report.bar.finish_and_clear();
    let interrupted = stop.load(Ordering::SeqCst);
    if !interrupted {
        let loss = validate(trainer, test, &options.out, &report)?;
        log.write(trainer, report.loss, loss)?;
    }
    trainer.save(&options.out)?;
    Ok(interrupted)
}

fn validate<B: Backend>(trainer: &mut Trainer<B>, test: &PixelSet, out: &Path, report: &Report) -> anyhow::Result<f64> {
    let (loss, improved) = trainer.validate(test, out)?;
    let counters = trainer.counters();
    let verdict = if improved {
        "best so far, weights written"
    } else {
        "not better"
    };
    report.say(&format!(
        "step {}: {} images seen, {:.1} min, training loss {:.5}, validation loss {loss:.5} ({verdict})",
        counters.step,
        counters.images_seen,
        counters.seconds / 60.0,
        report.loss
    ));
    Ok(loss)
}

fn write_preview<B: Backend>(trainer: &Trainer<B>, test: &PixelSet, out: &Path) -> anyhow::Result<()> {
    let preview = denoising_preview(trainer.average(), test)?;
    let path = out.join(format!("preview_{:06}.png", trainer.counters().step));
    Ok(imaging::save_png(&path, &preview)?)
}

/// Measures the best weights and writes what was found.
fn finish<B: Backend>(
    options: &Options,
    trainer: &Trainer<B>,
    train: &PixelSet,
    test: &PixelSet,
) -> anyhow::Result<()> {
    let mut network = UNet::load(&options.out, trainer.average().backend())?;
    network.freeze();
    let mut psnr = [0.0; 3];
    for (psnr, t) in psnr.iter_mut().zip(DENOISING_TIMES) {
        *psnr = denoising_psnr(&network, test, t)?;
        println!(
            "one-step denoising at t = {t}: {psnr:.2} dB, mean over {} images",
            test.count
        );
    }
    let card = Card {
        name: folder_name(&options.out),
        parameters: network.count(),
        train_images: train.count,
        test_images: test.count,
        validation_loss: validation_loss(&network, test)?,
        denoising_psnr: psnr,
    };
    write_card(&options.out, &card, trainer.counters())?;
    println!(
        "validation loss of the written weights: {:.5}; all files are in {}",
        card.validation_loss,
        options.out.display()
    );
    Ok(())
}

/// The running loss and speed, on a progress bar where there is a terminal and as lines where there is none.
struct Report {
    bar: ProgressBar,
    start: Instant,
    steps: u64,
    loss: f64,
}

impl Report {
    fn new() -> Self {
        let bar = ProgressBar::new(1000).with_style(style("{wide_bar} {percent}% {msg}"));
        Self {
            bar,
            start: Instant::now(),
            steps: 0,
            loss: 0.0,
        }
    }

    fn step(&mut self, progress: &Progress, batch: usize, minutes_left: f64, fraction: f64) {
        self.steps += 1;
        let weight = (1.0 / self.steps as f64).max(0.02);
        self.loss += weight * (progress.loss - self.loss);
        let speed = (self.steps * batch as u64) as f64 / self.start.elapsed().as_secs_f64();
        let line = format!(
            "step {} loss {:.4} {speed:.1} images/s, {minutes_left:.1} min left",
            progress.step, self.loss
        );
        if self.bar.is_hidden() && self.steps.is_multiple_of(100) {
            println!("{line}");
        }
        self.bar.set_position((1000.0 * fraction) as u64);
        self.bar.set_message(line);
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}

/// `log.csv`: one line per validation.
struct Log(std::fs::File);

impl Log {
    fn open(out: &Path) -> anyhow::Result<Self> {
        use std::io::Write;
        let path = out.join("log.csv");
        let fresh = !path.exists();
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if fresh {
            writeln!(file, "step,images_seen,minutes,training_loss,validation_loss")?;
        }
        Ok(Self(file))
    }

    fn write<B: Backend>(
        &mut self,
        trainer: &Trainer<B>,
        training_loss: f64,
        validation_loss: f64,
    ) -> anyhow::Result<()> {
        use std::io::Write;
        let c = trainer.counters();
        let minutes = c.seconds / 60.0;
        writeln!(
            self.0,
            "{},{},{minutes:.2},{training_loss:.5},{validation_loss:.5}",
            c.step, c.images_seen
        )?;
        Ok(())
    }
}
