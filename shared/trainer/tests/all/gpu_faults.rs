//! A GPU that is not there, does not fit, is full, or is lost in the middle of the work, as the stand-in plays it: each
//! is an error in words with exit code 2, and a training keeps its checkpoint.

use std::fs;
use std::process::{Command, Output};

use cuda_stand_in::{FAULT, ONLY_COUNT};

use crate::train_command::{Place, assert_fails, text};

/// A score of the repository's prior for that many images.
fn score(fault: &str, images: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args([
            "--work",
            "forward",
            "--repeats",
            "1",
            "--batch",
            images,
            "--threads",
            "1",
            "--device",
            "cuda",
        ])
        .env(FAULT, fault)
        .env(ONLY_COUNT, "1")
        .output()
        .unwrap()
}

#[test]
fn a_gpu_that_cannot_be_used_is_named_with_what_to_do() {
    assert_fails(
        &score("no-driver", "1"),
        &["no NVIDIA GPU answers", "nvidia-smi", "--device cpu"],
    );
    let other_kernels = [
        "not for this card or driver",
        "CUDA_COMPUTE_CAP",
        "not newer than the driver",
    ];
    assert_fails(
        &score("old-driver", "1"),
        &[&other_kernels[..], &["UNSUPPORTED_PTX_VERSION"]].concat(),
    );
    assert_fails(
        &score("other-card", "1"),
        &[&other_kernels[..], &["NO_BINARY_FOR_GPU"]].concat(),
    );
    assert_fails(&score("memory=100", "1"), &["cuda:0 cannot be used", "no memory left"]);
}

#[test]
fn memory_that_ends_while_sampling_is_an_error() {
    let output = score("memory=400", "256");
    assert_fails(&output, &["the GPU has no memory left: work on fewer images at a time"]);
    assert!(!text(&output).contains("panicked"), "{}", text(&output));
}

#[test]
fn a_gpu_lost_while_sampling_is_an_error() {
    // A score is a hundred kernels, the first one three hundred; opening the GPU takes a few dozen.
    for kernels in ["100", "400"] {
        let output = score(&format!("lost={kernels}"), "1");
        assert_fails(&output, &["CUDA_ERROR_LAUNCH_FAILED", "start it again"]);
        assert!(!text(&output).contains("panicked"), "{}", text(&output));
    }
}

fn train(place: &Place, environment: &[(&str, &str)], options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_train"))
        .arg("--data")
        .arg(place.data())
        .arg("--out")
        .arg(place.out())
        .arg("--config")
        .arg(place.config())
        .args(["--threads", "1", "--device", "cuda"])
        .args(options)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_training_keeps_its_checkpoint_when_the_gpu_fails() {
    let place = Place::new();
    let checkpoint = place.out().join("checkpoint.ckpt");
    let trains_to = |steps: &str, start: &[&str]| {
        let output = train(&place, &[], &[start, &["--batch", "4", "--steps", steps]].concat());
        assert!(output.status.success(), "{}", text(&output));
    };
    trains_to("2", &[]);
    let before = fs::read(&checkpoint).unwrap();

    let lost = train(
        &place,
        &[(FAULT, "lost=800")],
        &["--resume", "--batch", "4", "--steps", "50"],
    );
    assert_fails(&lost, &["CUDA_ERROR_LAUNCH_FAILED", "--resume"]);
    assert!(fs::read(&checkpoint).unwrap() == before, "the checkpoint changed");
    trains_to("3", &["--resume"]);

    let memory = [(FAULT, "memory=258"), (ONLY_COUNT, "1")];
    let full = train(&place, &memory, &["--resume", "--batch", "4000", "--steps", "50"]);
    assert_fails(&full, &["the GPU has no memory left"]);
    trains_to("4", &["--resume"]);
}
