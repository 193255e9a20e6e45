//! The trainer: it learns, it resumes where it stopped, and it does not lose a checkpoint.

use std::path::Path;

use imaging::PixelSet;
use nn::{Cpu, Parameters};
use score_unet::unet::UNet;
use score_unet::{SmallConfig, UNetConfig};
use trainer::{Halves, Trainer, TrainerConfig, validation_losses};
use training::CHECKPOINT_FILE;

fn network() -> UNetConfig {
    SmallConfig {
        image_channels: 3,
        image_size: 8,
        patch: 2,
        base_channels: 16,
        channel_multipliers: vec![1, 2],
        norm_groups: 4,
        attention_heads: 2,
        diffusion_steps: 1000,
    }
    .into()
}

pub fn settings() -> TrainerConfig {
    TrainerConfig {
        batch: 8,
        warmup_steps: 10,
        learning_rate: 4e-3,
        ..TrainerConfig::default()
    }
}

/// Images of one flat colour each.
pub fn flat_colours(count: usize) -> PixelSet {
    let pixels = (0..count)
        .flat_map(|i| (0..3 * 64).map(move |p| if p / 64 == i % 3 { 230 } else { 40 }))
        .collect();
    let names = (0..count).map(|i| format!("{i}.png")).collect();
    PixelSet {
        names,
        pixels,
        count,
        size: 8,
        ..PixelSet::default()
    }
}

fn values(network: &UNet<Cpu>) -> Vec<f32> {
    let mut values = Vec::new();
    network.visit("", &mut |_, p| values.extend(p.to_vec()));
    values
}

pub fn train(trainer: &mut Trainer<Cpu>, images: &PixelSet, steps: usize) {
    std::thread::scope(|scope| {
        let mut batches = trainer.batches(scope, images);
        for _ in 0..steps {
            trainer.step(&mut batches, 0.3).unwrap();
        }
    });
}

/// The validation loss over all images.
fn loss(trainer: &Trainer<Cpu>, images: &PixelSet) -> f64 {
    let losses = validation_losses(trainer.average(), images).unwrap();
    Halves::of(&images.names).means(&losses).all
}

/// What is left of the validation loss after so many steps on flat colours, as a share.
pub fn loss_left(network: &UNetConfig, steps: usize) -> f64 {
    let images = flat_colours(12);
    let mut trainer = Trainer::new(&Cpu::default(), network, settings(), 1).unwrap();
    let before = loss(&trainer, &images);
    train(&mut trainer, &images, steps);
    loss(&trainer, &images) / before
}

/// Trains 6 steps, and 3 and 3 with a checkpoint between them, which has to come to the same.
pub fn check_that_a_resumed_training_equals_another(network: &UNetConfig) {
    let folder = tempfile::tempdir().unwrap();
    let images = flat_colours(12);
    let mut whole = Trainer::new(&Cpu::default(), network, settings(), 3).unwrap();
    train(&mut whole, &images, 6);

    let mut first = Trainer::new(&Cpu::default(), network, settings(), 3).unwrap();
    train(&mut first, &images, 3);
    first.save(folder.path()).unwrap();
    let mut second = Trainer::resume(&Cpu::default(), folder.path(), settings()).unwrap();
    train(&mut second, &images, 3);

    assert_eq!(
        values(whole.average()),
        values(second.average()),
        "the resumed training went another way"
    );
    assert_eq!(whole.counters().step, second.counters().step);
    assert_eq!(whole.counters().images_seen, second.counters().images_seen);
}

#[test]
fn it_learns_to_tell_noise_from_flat_colours() {
    let left = loss_left(&network(), 800);
    // Over four seeds the loss fell to between 0.46 and 0.54 of what it was.
    assert!(left < 0.65, "800 steps left {left} of the loss");
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    check_that_a_resumed_training_equals_another(&network());
}

#[test]
fn another_seed_trains_another_network() {
    let images = flat_colours(12);
    let run = |seed| {
        let mut trainer = Trainer::new(&Cpu::default(), &network(), settings(), seed).unwrap();
        train(&mut trainer, &images, 2);
        values(trainer.average())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn weights_are_written_only_when_they_are_better() {
    let folder = tempfile::tempdir().unwrap();
    let images = flat_colours(12);
    let mut trainer = Trainer::new(&Cpu::default(), &network(), settings(), 1).unwrap();
    assert!(
        trainer.validate(&images, folder.path()).unwrap().1,
        "the first validation is the best so far"
    );
    let path = folder.path().join("weights.safetensors");
    let first = std::fs::read(&path).unwrap();
    assert!(
        !trainer.validate(&images, folder.path()).unwrap().1,
        "the same network again is not better"
    );
    assert_eq!(first, std::fs::read(&path).unwrap());
    train(&mut trainer, &images, 60);
    assert!(trainer.validate(&images, folder.path()).unwrap().1);
    assert_ne!(first, std::fs::read(&path).unwrap());
    score_unet::Prior::load(folder.path()).expect("what the trainer writes is a prior");
}

fn resume_error(folder: &Path) -> String {
    format!(
        "{:#}",
        Trainer::resume(&Cpu::default(), folder, settings()).unwrap_err()
    )
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(resume_error(folder.path()).contains(CHECKPOINT_FILE));
    let mut trainer = Trainer::new(&Cpu::default(), &network(), settings(), 1).unwrap();
    trainer.save(folder.path()).unwrap();
    let path = folder.path().join(CHECKPOINT_FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(resume_error(folder.path()).contains("not a whole safetensors file"));
    nn::save_weights(&path, trainer.average(), nn::FloatType::F32).unwrap();
    assert!(resume_error(folder.path()).contains("no checkpoint of this trainer"));
}

#[test]
fn a_failed_save_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let images = flat_colours(12);
    let mut trainer = Trainer::new(&Cpu::default(), &network(), settings(), 1).unwrap();
    trainer.save(folder.path()).unwrap();
    let before = std::fs::read(folder.path().join(CHECKPOINT_FILE)).unwrap();
    train(&mut trainer, &images, 1);
    let missing = folder.path().join("gone");
    assert!(format!("{:#}", trainer.save(&missing).unwrap_err()).contains("cannot write"));
    assert_eq!(before, std::fs::read(folder.path().join(CHECKPOINT_FILE)).unwrap());
}
