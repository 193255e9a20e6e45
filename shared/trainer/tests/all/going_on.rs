//! Trainings that meet another training in their folder, or go on from their own.

use std::path::Path;

use crate::train_command::{Place, TINY, assert_fails, text};

fn done(place: &Place, options: &[&str]) -> String {
    let output = place.run(options);
    assert!(output.status.success(), "{options:?}: {}", text(&output));
    text(&output)
}

/// All files of a folder, with what they hold.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn no_way_to_start_overwrites_another_training() {
    let (first, other) = (Place::new(), Place::new());
    done(&first, &["--steps", "2"]);
    done(&other, &["--steps", "2", "--seed", "7"]);
    let before = files(&first.out());
    let (own, others) = (first.out().display().to_string(), other.out().display().to_string());
    let starts: [&[&str]; 4] = [&[], &["--seed", "7"], &["--init", &others], &["--init", &own]];
    for start in starts {
        let options = [start, &["--steps", "2"]].concat();
        assert_fails(&first.run(&options), &["already holds a training", "--resume", "--out"]);
    }
    // A prior that was made without a checkpoint, or whose checkpoint was thrown away, is worth as much.
    std::fs::remove_file(first.out().join("checkpoint.ckpt")).unwrap();
    assert_fails(
        &first.run(&["--steps", "2", "--init", &others]),
        &["already holds a training"],
    );
    std::fs::write(first.out().join("checkpoint.ckpt"), &before[0].1).unwrap();
    assert_eq!(files(&first.out()), before);
}

#[test]
fn a_training_starts_from_a_prior_in_a_folder_of_its_own() {
    let (first, second) = (Place::new(), Place::new());
    done(&first, &["--steps", "2"]);
    let prior = first.out().display().to_string();
    // A configuration that is not the prior's is not ignored.
    std::fs::write(
        second.config(),
        TINY.replace("\"base_channels\": 8", "\"base_channels\": 16"),
    )
    .unwrap();
    let refused = second.run(&["--init", &prior, "--steps", "1"]);
    assert_fails(&refused, &["--config", "base_channels 8 before, 16 now"]);
    std::fs::write(second.config(), TINY).unwrap();
    done(&second, &["--init", &prior, "--steps", "1"]);
}

#[test]
fn what_contradicts_the_checkpoint_is_refused() {
    let place = Place::new();
    done(&place, &["--steps", "2", "--seed", "3"]);
    let before = files(&place.out());
    let refused = |options: &[&str], parts: &[&str]| {
        let output = place.run(&[&["--resume", "--steps", "9"], options].concat());
        assert_fails(&output, parts);
        assert_eq!(files(&place.out()), before);
    };
    refused(&["--seed", "4"], &["--seed", "3 before, 4 now"]);
    std::fs::write(place.config(), TINY.replace("\"norm_groups\": 4", "\"norm_groups\": 2")).unwrap();
    refused(&[], &["--config", "norm_groups 4 before, 2 now"]);
    std::fs::write(place.config(), TINY).unwrap();
    std::fs::remove_file(place.data().join("train/kind/5.png")).unwrap();
    refused(&["--seed", "3"], &["other images", "6 and 3 images", "5 and 3 images"]);
}

#[test]
fn settings_stay_as_they_were_unless_they_are_named() {
    let place = Place::new();
    let fast = ["--learning-rate", "0.5"];
    done(&place, &[&["--steps", "2"], &fast[..]].concat());
    let said = done(&place, &["--resume", "--steps", "3"]);
    assert!(!said.contains("from here on"), "{said}");
    let said = done(&place, &["--resume", "--steps", "4", "--learning-rate", "0.25"]);
    assert!(
        said.contains("from here on another learning_rate 0.5 before, 0.25 now"),
        "{said}"
    );
    // The length, too: without one it goes on to where it was to end.
    let said = done(&place, &["--resume"]);
    assert!(said.contains("nothing to do: 4 steps"), "{said}");
}

#[test]
fn a_training_that_is_done_says_so_and_writes_nothing() {
    let place = Place::new();
    done(&place, &["--steps", "4"]);
    let before = files(&place.out());
    let said = done(&place, &["--resume", "--steps", "1"]);
    assert!(
        said.contains("nothing to do: 4 steps of training are made, and --steps 1"),
        "{said}"
    );
    assert_eq!(files(&place.out()), before);

    // One that was stopped before its end was measured is measured; no training loss is made up.
    std::fs::remove_file(place.out().join("training.json")).unwrap();
    let said = done(&place, &["--resume", "--steps", "4"]);
    assert!(said.contains("training loss none yet"), "{said}");
    assert!(place.out().join("training.json").is_file());
    let log = std::fs::read_to_string(place.out().join("log.csv")).unwrap();
    let last: Vec<&str> = log.lines().last().unwrap().split(',').collect();
    assert_eq!((last[0], last[3]), ("4", ""), "{log}");
}
