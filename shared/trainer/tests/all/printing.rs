//! What is printed is for whoever watches: a training does not end because nobody can.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::train_command::{Place, text};

/// Every write to it fails, as on a full disk.
const FULL: &str = "/dev/full";

fn with_full_output(mut command: Command) -> Output {
    let full = OpenOptions::new().write(true).open(FULL).unwrap();
    command.stdout(full).stderr(Stdio::piped()).output().unwrap()
}

/// Its other end is closed before anything is printed.
fn with_closed_output(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

#[test]
fn a_training_goes_on_where_nothing_can_be_printed() {
    let place = Place::new();
    let command = |steps| place.command(&place.data(), &["--steps", steps, "--validate-every", "1"]);
    let output = with_closed_output(command("2"));
    assert!(output.status.success(), "{}", text(&output));
    assert!(place.out().join("checkpoint.ckpt").is_file());
    assert!(!text(&output).contains("cannot write"), "{}", text(&output));

    if Path::new(FULL).exists() {
        let mut resumed = command("4");
        resumed.arg("--resume");
        let output = with_full_output(resumed);
        assert!(output.status.success(), "{}", text(&output));
        let said = text(&output).matches("cannot write to standard output").count();
        assert_eq!(said, 1, "{}", text(&output));
        let log = std::fs::read_to_string(place.out().join("log.csv")).unwrap();
        assert!(log.lines().any(|line| line.starts_with("4,")), "{log}");
    }
}

/// Its lines are all that it leaves.
#[test]
fn a_timing_that_is_lost_is_an_error() {
    let bench = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command.args(["--work", "forward", "--repeats", "2"]);
        command
    };
    let output = with_closed_output(bench());
    assert!(output.status.success(), "{}", text(&output));
    if Path::new(FULL).exists() {
        let output = with_full_output(bench());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(
            text(&output).contains("what was printed is not complete"),
            "{}",
            text(&output)
        );
    }
}
