//! The program: what it writes is a prior, and what it says is true.

use std::path::Path;
use std::process::{Command, Output};

use diffusion::ScoreModel;
use score_unet::Prior;

use crate::fixture::Fixture;

fn import(source: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_import"));
    command.arg(source).arg("--out").arg(out).args(more);
    command.output().expect("the program runs")
}

#[test]
fn a_checkpoint_becomes_a_prior_with_a_card() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Fixture::read("guided_blocks").publish(folder.path());
    let out = folder.path().join("faces");
    let flags = ["--image-size", "16", "--head-channels", "16", "--f16"];
    let output = import(&source, &out, &flags);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "learned variance",
        "the old order of attention",
        "faces: 16x16x3 images, 0.8 million parameters",
        // Weights from a formula are no trained network, and that is told.
        "note: a trained network that was understood has nearly 0 there",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let prior = Prior::load(&out).expect("a prior");
    assert_eq!(prior.image_shape(), [3, 16, 16]);
    let card = std::fs::read_to_string(out.join("README.md")).expect("a card");
    let digest = pytorch_files::sha256(&source).expect("a digest");
    assert!(card.contains(&digest) && card.contains("learned variance"), "{card}");

    let again = import(&source, &out, &flags);
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.code() == Some(2) && error.contains("holds a prior already"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_none_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("notes.pt");
    std::fs::write(&source, "no network").expect("a file");
    let out = folder.path().join("prior");
    let output = import(&source, &out, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!out.exists());
}
