//! What the network asks of a GPU, counted by the stand-in: the costs that were taken away stay away.

use std::path::Path;
use std::process::Command;

use cuda_stand_in::{COUNTS, Counts, ONLY_COUNT};

/// What `bench` asks for when it repeats its work so often, beside two times that it does not time.
fn counted(work: &str, repeats: usize) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--work", work, "--repeats", &repeats.to_string()])
        .args(["--batch", "1", "--threads", "1", "--device", "cuda"])
        .env(COUNTS, &path)
        .env(ONLY_COUNT, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&path)
}

fn read(path: &Path) -> Counts {
    let counts = Counts::read(path).unwrap();
    assert_eq!(counts.of("times the device was opened"), 1);
    assert_eq!(
        counts.of("times the pool gave memory back"),
        0,
        "the pool's threshold is not set"
    );
    counts
}

/// What one more repetition of the work asks for: synchronisations, and operations on the stream.
fn of_one(work: &str) -> (u64, u64) {
    let (fewer, more) = (counted(work, 1), counted(work, 2));
    let operations = more.stream_operations() - fewer.stream_operations();
    println!("{work}: {operations} operations on the stream");
    for what in [
        "kernels",
        "products",
        "fills",
        "allocations",
        "copies to the device",
        "copies on the device",
    ] {
        println!("  {what}: {}", more.of(what) - fewer.of(what));
    }
    let waits = more.of("synchronisations") - fewer.of("synchronisations");
    assert_eq!(waits, more.of("copies to the host") - fewer.of("copies to the host"));
    (waits, operations)
}

#[test]
fn a_score_waits_once() {
    let (waits, operations) = of_one("forward");
    assert_eq!(waits, 1);
    assert!(operations <= 120, "{operations}");
}

#[test]
fn a_score_with_pullback_waits_twice() {
    let (waits, operations) = of_one("pullback");
    assert_eq!(waits, 2);
    assert!(operations <= 250, "{operations}");
}

#[test]
fn a_training_step_waits_twice() {
    let (waits, operations) = of_one("train");
    // For the loss and for the norm of the gradients.
    assert_eq!(waits, 2);
    assert!(operations <= 1150, "{operations}");
}
