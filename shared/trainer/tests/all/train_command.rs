//! The `train` command as a person meets it: a whole small run, Ctrl-C and resuming, and what it says of bad input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ndarray::Array3;

const TINY: &str = r#"{"image_channels": 3, "image_size": 16, "patch": 2, "base_channels": 8,
    "channel_multipliers": [1], "norm_groups": 4, "attention_heads": 2, "diffusion_steps": 1000}"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A data set of six training and three test images, and the configuration of a tiny network.
    fn new() -> Self {
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

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("tiny.json")
    }

    fn command(&self, data: &Path, options: &[&str]) -> Command {
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

    fn run(&self, options: &[&str]) -> Output {
        self.command(&self.data(), options).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn assert_fails(output: &Output, parts: &[&str]) {
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

    // The folder is taken now: a second training must not overwrite it by mistake, but may go on.
    assert_fails(&place.run(&["--steps", "6"]), &["already holds a training", "--resume"]);
    let output = place.run(&["--steps", "8", "--resume"]);
    assert!(
        output.status.success() && text(&output).contains("step 8:"),
        "{}",
        text(&output)
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_that_resumes() {
    let place = Place::new();
    let log = std::fs::File::create(place.folder.path().join("log.txt")).unwrap();
    let mut child = place
        .command(&place.data(), &["--minutes", "5"])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    // What it prints first, it prints when it is ready for Ctrl-C.
    let log_file = place.folder.path().join("log.txt");
    let start = Instant::now();
    while !std::fs::read_to_string(&log_file).unwrap().contains("parameters") {
        assert!(start.elapsed() < Duration::from_secs(60), "the training does not begin");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let status = child.wait().unwrap();
    let log = std::fs::read_to_string(&log_file).unwrap();
    assert!(status.success(), "{log}");
    assert!(log.contains("stopped at step") && log.contains("--resume"), "{log}");
    let output = place.run(&["--resume", "--steps", "1000000", "--minutes", "1"]);
    assert!(
        !output.status.success(),
        "--steps and --minutes together must be refused"
    );
    let step: u64 = log
        .split("stopped at step ")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let output = place.run(&["--resume", "--steps", &(step + 2).to_string()]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains(&format!("step {}:", step + 2)),
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
fn impossible_options_are_refused() {
    let place = Place::new();
    assert_fails(&place.run(&["--steps", "0"]), &["--steps"]);
    assert_fails(&place.run(&["--minutes=-1"]), &["minutes"]);
    assert_fails(
        &place.run(&["--steps", "1", "--learning-rate", "7"]),
        &["--learning-rate"],
    );
    assert_fails(
        &place.run(&["--resume", "--steps", "1"]),
        &["cannot resume", "checkpoint.ckpt"],
    );
}
