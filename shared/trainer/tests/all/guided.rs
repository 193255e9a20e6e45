//! The architecture of guided-diffusion in training: it learns, goes on where it stopped, and its memory stays flat.

use nn::Cpu;
use score_unet::{GuidedConfig, Heads, Prior, UNetConfig};
use trainer::Trainer;

use crate::train_command::{Place, text};
use crate::training::{check_that_a_resumed_training_equals_another, flat_colours, loss_left, settings, train};

/// All that the large one has, for 8x8 images.
fn network() -> UNetConfig {
    GuidedConfig {
        image_size: 8,
        base_channels: 8,
        level_channels: vec![8, 16],
        attention_levels: vec![1],
        heads: Heads::Channels(8),
        norm_groups: 4,
        ..GuidedConfig::ffhq256()
    }
    .into()
}

#[test]
fn it_learns_to_tell_noise_from_flat_colours() {
    let left = loss_left(&network(), 150);
    // Over four seeds the loss fell to between 0.17 and 0.21 of what it was.
    assert!(left < 0.3, "150 steps left {left} of the loss");
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    check_that_a_resumed_training_equals_another(&network());
}

#[test]
fn the_command_trains_one_and_goes_on() {
    let place = Place::new();
    let run = |options: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_train"));
        command.arg("--data").arg(place.data()).arg("--out").arg(place.out());
        let output = command.args(options).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    run(&["--architecture", "guided", "--batch", "2", "--steps", "1"]);
    run(&["--resume", "--steps", "2"]);
    let prior = Prior::load(&place.out()).unwrap();
    assert_eq!(prior.config(), &GuidedConfig::small64().into());
}

/// Set in the process that measures its memory.
const MEASURED: &str = "GUIDED_TRAINING_MEMORY_IS_MEASURED";

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<f64>().ok()? * 4096.0)
}

/// The memory of a process is that of all its tests, so this one runs in a process of its own.
#[test]
fn memory_stays_flat_in_training() {
    if std::env::var_os(MEASURED).is_some() {
        return train_for_long();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guided::memory_stays_flat_in_training", "--nocapture"])
        .env(MEASURED, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success() && text(&output).contains("1 passed"),
        "{}",
        text(&output)
    );
}

fn train_for_long() {
    let images = flat_colours(12);
    let mut trainer = Trainer::new(&Cpu::default(), &network(), settings(), 1).unwrap();
    train(&mut trainer, &images, 30);
    let before = resident();
    train(&mut trainer, &images, 150);
    if let (Some(before), Some(after)) = (before, resident()) {
        // A step of this network leaves about a megabyte behind it while it runs: a leak would be hundreds of them.
        assert!(
            after - before < 20e6,
            "memory grew by {:.1} MB in 150 steps",
            (after - before) / 1e6
        );
    }
}
