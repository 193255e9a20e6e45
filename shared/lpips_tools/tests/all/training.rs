//! The trainer of the embedded backbone, on ten classes that differ in colour.

use imaging::PixelSet;
use lpips_tools::training::{LabelledSet, Settings, Trainer};

const SIZE: usize = 16;

/// Forty images, four of each class: two colours, one for each half.
fn colours() -> LabelledSet {
    let (mut names, mut pixels) = (Vec::new(), Vec::new());
    for index in 0..40 {
        let (class, copy) = (index % 10, index / 10);
        names.push(format!("train/class-{class}/{copy}.png"));
        for channel in 0..3 {
            for place in 0..SIZE * SIZE {
                let phase = class * 25 * (channel + 1) + 8 * copy + if place < 128 { 0 } else { 90 };
                pixels.push((phase % 256) as u8);
            }
        }
    }
    let images = PixelSet {
        names,
        pixels,
        count: 40,
        size: SIZE,
        ..PixelSet::default()
    };
    LabelledSet::new(images).expect("labelled images")
}

fn settings() -> Settings {
    Settings {
        epochs: 12,
        minutes: None,
        batch: 10,
        learning_rate: 2e-3,
        weight_decay: 0.05,
        smoothing: 0.1,
        average_decay: 0.9,
        warmup_steps: 5,
        seed: 1,
    }
}

fn train(trainer: &mut Trainer, set: &LabelledSet, until: u64) -> anyhow::Result<f64> {
    let mut loss = f64::NAN;
    while trainer.counters().step < until {
        loss = trainer.step(set)?;
    }
    Ok(loss)
}

#[test]
fn the_network_learns_to_tell_colours_apart() -> anyhow::Result<()> {
    let (set, mut trainer) = (colours(), Trainer::new(settings()));
    assert_eq!(trainer.steps_per_epoch(&set), 4);
    let first = trainer.step(&set)?;
    // Ten classes and no idea: -log(1/10), give or take what random weights make of it.
    assert!((first - 10f64.ln()).abs() < 0.7, "the first loss is {first}");
    train(&mut trainer, &set, 48)?;
    assert_eq!(trainer.fraction(&set), 1.0);
    let accuracy = trainer.accuracy(&set)?;
    // By chance it would be 0.1.
    assert!(accuracy > 0.8, "{accuracy} of the colours were told apart");
    Ok(())
}

#[test]
fn a_resumed_training_ends_with_the_same_weights() -> anyhow::Result<()> {
    let (set, folder) = (colours(), tempfile::tempdir()?);
    let written = |trainer: &Trainer, name: &str| -> anyhow::Result<Vec<u8>> {
        let path = folder.path().join(name);
        trainer.write_weights(&path)?;
        Ok(std::fs::read(path)?)
    };
    let mut whole = Trainer::new(settings());
    let loss = train(&mut whole, &set, 10)?;

    let mut half = Trainer::new(settings());
    train(&mut half, &set, 5)?;
    half.save(folder.path())?;
    assert_ne!(written(&half, "half")?, written(&whole, "whole")?);
    let mut resumed = Trainer::resume(folder.path())?;
    assert_eq!(resumed.counters().step, 5);
    assert_eq!(train(&mut resumed, &set, 10)?, loss);
    assert_eq!(written(&resumed, "resumed")?, written(&whole, "whole")?);
    Ok(())
}

#[test]
fn what_is_no_checkpoint_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    assert!(Trainer::resume(folder.path()).is_err());
    let path = folder.path().join(training::CHECKPOINT_FILE);
    Trainer::new(settings()).write_weights(&path)?;
    let message = Trainer::resume(folder.path()).map_or_else(|error| error.to_string(), |_| String::new());
    assert!(message.contains("is no checkpoint of this trainer"), "{message}");
    Ok(())
}
