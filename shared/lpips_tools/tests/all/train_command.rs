//! The `train-backbone` command as a person meets it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::Array3;

/// Ten classes of two images for training and one for testing, a colour each.
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    for class in 0..10 {
        let image = Array3::from_elem((3, 32, 32), class as f32 / 5.0 - 1.0);
        for name in ["train/{}/0.png", "train/{}/1.png", "test/{}/0.png"] {
            let path = data.join(name.replace("{}", &format!("class-{class}")));
            imaging::save_png(&path, &image).expect("an image");
        }
    }
    data
}

fn train(data: &Path, out: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train-backbone"));
    command.arg("--data").arg(data).arg("--out").arg(out).args(options);
    command.output().expect("the program runs")
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
}

#[test]
fn a_training_is_not_overwritten_and_goes_on_as_it_began() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let (data, out) = (data(place.path()), place.path().join("out"));
    let done = |options: &[&str]| {
        let output = train(&data, &out, options);
        assert!(output.status.success(), "{options:?}: {}", text(&output));
        text(&output)
    };
    assert!(done(&["--epochs", "1", "--batch", "10", "--seed", "3"]).contains("epoch 1:"));
    assert!(out.join("training.json").is_file());

    assert_fails(
        &train(&data, &out, &["--epochs", "1"]),
        &["already holds a training", "--resume"],
    );
    let refused = |options: &[&str], part: &str| {
        let output = train(&data, &out, &[&["--resume", "--epochs", "2"], options].concat());
        assert_fails(&output, &["cannot be another", part]);
    };
    refused(&["--seed", "4"], "seed 3 before, 4 now");
    refused(&["--batch", "5"], "batch 10 before, 5 now");
    assert!(done(&["--resume", "--batch", "10"]).contains("nothing to do: 2 steps"));
    assert!(done(&["--resume", "--epochs", "2"]).contains("epoch 2:"));
    let log = std::fs::read_to_string(out.join("log.csv"))?;
    assert_eq!(log.lines().count(), 3, "a header and two epochs: {log}");

    std::fs::remove_file(data.join("train/class-3/1.png"))?;
    assert_fails(
        &train(&data, &out, &["--resume", "--epochs", "3"]),
        &["other images", "19 and 10 images"],
    );
    Ok(())
}

#[test]
fn a_start_that_fails_leaves_nothing_behind() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let (nowhere, out) = (place.path().join("nowhere"), place.path().join("out"));
    let refused = |options: &[&str], parts: &[&str]| {
        assert_fails(&train(&nowhere, &out, options), parts);
        assert!(!out.exists(), "{options:?} left a folder behind");
    };
    refused(&["--epochs", "0"], &["--epochs"]);
    refused(&["--minutes", "0"], &["--minutes", "positive"]);
    refused(&["--threads", "100000"], &["--threads", "1024"]);
    refused(&["--smoothing", "-1"], &["--smoothing"]);
    refused(&["--resume"], &["cannot resume", "checkpoint.ckpt"]);
    refused(&[], &["nowhere"]);
    std::fs::write(&out, "a file is in the way")?;
    assert_fails(&train(&nowhere, &out, &[]), &["cannot write into the folder", "--out"]);
    Ok(())
}
