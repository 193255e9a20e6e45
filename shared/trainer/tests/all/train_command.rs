//! The `train` command as a person meets it: a whole small run, and what it says of bad input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::Array3;

pub const TINY: &str = r#"{"image_channels": 3, "image_size": 16, "patch": 2, "base_channels": 8,
    "channel_multipliers": [1], "norm_groups": 4, "attention_heads": 2, "diffusion_steps": 1000}"#;

pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    /// A data set of six training and three test images, and the configuration of a tiny network.
    pub fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (split, count) in [("train", 6), ("test", 3)] {
            for i in 0..count {
                let image = Array3::from_shape_fn((3, 16, 16), |(c, y, x)| ((c + y * i + x) % 5) as f32 / 2.5 - 1.0);
                imaging::save_png(&place.data().join(format!("{split}/kind/{i}.png")), &image).unwrap();
            }
        }
        std::fs::write(place.config(), TINY).unwrap();
        place
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("tiny.json")
    }

    pub fn command(&self, data: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command
            .arg("--data")
            .arg(data)
            .arg("--out")
            .arg(self.out())
            .arg("--config")
            .arg(self.config());
        command.args(["--batch", "4", "--threads", "1"]).args(options);
        command
    }

    pub fn run(&self, options: &[&str]) -> Output {
        self.command(&self.data(), options).output().unwrap()
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub fn assert_fails(output: &Output, parts: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(2), "expected exit code 2: {text}");
    for part in parts {
        assert!(text.contains(part), "the message should contain `{part}`: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_whole_run_leaves_a_prior_and_a_report() {
    let place = Place::new();
    let output = place.run(&["--steps", "6", "--validate-every", "3", "--preview-every", "5"]);
    assert!(output.status.success(), "{}", text(&output));
    for file in [
        "weights.safetensors",
        "config.json",
        "training.json",
        "checkpoint.ckpt",
        "log.csv",
        "preview_000005.png",
    ] {
        assert!(place.out().join(file).is_file(), "{file} is missing: {}", text(&output));
    }
    score_unet::Prior::load(&place.out()).unwrap();

    let output = place.run(&["--steps", "8", "--resume"]);
    assert!(
        output.status.success() && text(&output).contains("step 8:"),
        "{}",
        text(&output)
    );
}

#[test]
fn an_unreadable_image_is_named() {
    let place = Place::new();
    std::fs::write(place.data().join("train/kind/3.png"), b"not a picture").unwrap();
    assert_fails(&place.run(&["--steps", "1"]), &["3.png"]);
    assert!(!place.out().join("checkpoint.ckpt").exists());
}

#[test]
fn an_empty_or_missing_data_set_is_named() {
    let place = Place::new();
    let empty = place.folder.path().join("empty");
    std::fs::create_dir_all(empty.join("train")).unwrap();
    assert_fails(&place.command(&empty, &["--steps", "1"]).output().unwrap(), &["empty"]);
    let missing = place.folder.path().join("nowhere");
    assert_fails(
        &place.command(&missing, &["--steps", "1"]).output().unwrap(),
        &["nowhere"],
    );
}

#[test]
fn a_network_for_other_images_than_rgb_is_refused() {
    let place = Place::new();
    std::fs::write(
        place.config(),
        TINY.replace("\"image_channels\": 3", "\"image_channels\": 1"),
    )
    .unwrap();
    assert_fails(&place.run(&["--steps", "1"]), &["1 channels", "image_channels"]);
}

#[test]
fn impossible_options_are_refused_before_anything_is_read_or_made() {
    let place = Place::new();
    let nowhere = place.folder.path().join("nowhere");
    let refused = |options: &[&str], parts: &[&str]| {
        assert_fails(&place.command(&nowhere, options).output().unwrap(), parts);
        assert!(!place.out().exists(), "{options:?} left a folder behind");
    };
    refused(&["--steps", "0"], &["--steps"]);
    refused(&["--steps", "-1"], &["--steps", "-1"]);
    refused(&["--minutes", "0"], &["--minutes", "positive"]);
    refused(&["--minutes", "-1"], &["--minutes"]);
    refused(&["--seed", "-1"], &["--seed"]);
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(["--data", "nowhere", "--out", "nowhere", "--threads", "100000"])
        .output();
    assert_fails(&output.unwrap(), &["--threads", "1024"]);
    refused(&["--batch", "0"], &["--batch"]);
    refused(&["--learning-rate", "7"], &["--learning-rate"]);
    refused(&["--colour-jitter", "1"], &["--colour-jitter"]);
    refused(&["--minutes", "1", "--steps", "1"], &["--minutes", "--steps"]);
    refused(&["--resume", "--steps", "1"], &["cannot resume", "checkpoint.ckpt"]);
    refused(
        &["--init", "nowhere", "--steps", "1"],
        &["--init", "no prior `nowhere`"],
    );
    // The images are not there either: that is told last, and leaves nothing behind.
    refused(&["--steps", "1"], &["nowhere"]);
}

#[test]
fn an_out_that_nothing_can_be_written_to_is_told_before_the_images_are_read() {
    let place = Place::new();
    std::fs::write(place.out(), "a file is in the way").unwrap();
    let nowhere = place.folder.path().join("nowhere");
    let output = place.command(&nowhere, &["--steps", "1"]).output().unwrap();
    assert_fails(&output, &["cannot write into the folder", "--out"]);
}

#[test]
fn a_prior_of_few_steps_is_measured_at_the_times_it_has() {
    let place = Place::new();
    std::fs::write(
        place.config(),
        TINY.replace("\"diffusion_steps\": 1000", "\"diffusion_steps\": 100"),
    )
    .unwrap();
    let output = place.run(&["--steps", "2"]);
    assert!(output.status.success(), "{}", text(&output));
    let text = text(&output);
    assert!(text.contains("t = 100:") && !text.contains("t = 300"), "{text}");
}
