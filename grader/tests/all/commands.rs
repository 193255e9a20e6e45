//! The commands, on submissions that need no compiler: is there always a result, and is nothing graded twice?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;

use crate::root;

fn grader(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_grader"))
        .arg("--root")
        .arg(root())
        .args(arguments)
        .output()?)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_submission_that_cannot_be_read_has_a_result_that_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let broken = folder.path().join("broken.zip");
    fs::write(&broken, "no archive")?;
    for (name, words) in [
        ("broken.zip", "neither a folder nor a zip archive"),
        ("missing", "cannot read the submission"),
    ] {
        let out = folder.path().join(format!("out-{name}"));
        let output = grader(&[
            "grade",
            &text(&folder.path().join(name)),
            "--out",
            &text(&out),
            "--no-images",
        ])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let results: serde_json::Value = serde_json::from_slice(&fs::read(out.join("results.json"))?)?;
        assert_eq!(results["score"].as_f64(), Some(0.0));
        assert!(
            results["output"].as_str().is_some_and(|output| output.contains(words)),
            "{results}"
        );
        assert!(out.join("report.html").is_file() && out.join("junit.xml").is_file());
    }
    Ok(())
}

#[test]
fn a_failure_of_the_graders_own_has_a_result_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (out, empty) = (folder.path().join("out"), folder.path().join("empty"));
    fs::create_dir(&empty)?;
    let output = grader(&["grade", &text(&empty), "--out", &text(&out), "--hidden", &text(&empty)])?;
    assert_eq!(output.status.code(), Some(2));
    let results: serde_json::Value = serde_json::from_slice(&fs::read(out.join("results.json"))?)?;
    assert!(
        results["output"]
            .as_str()
            .is_some_and(|output| output.contains("the grader itself failed")),
        "{results}"
    );
    Ok(())
}

fn results(out: &Path, name: &str) -> PathBuf {
    out.join("reports").join(name).join("results.json")
}

#[test]
fn a_class_goes_on_where_it_stopped_and_grades_nothing_twice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    for name in ["ada", "ben"] {
        fs::create_dir_all(class.join(name))?;
    }
    fs::write(class.join("scores.csv"), "no archive")?;
    let (class_text, out_text) = (text(&class), text(&out));
    let batch = ["batch", &class_text, "--out", &out_text, "--jobs", "2", "--no-images"];
    assert!(grader(&batch)?.status.success());
    let table = fs::read_to_string(out.join("scores.csv"))?;
    assert_eq!(table.lines().count(), 4, "{table}");

    // What an interruption leaves: no summary, and so no result that counts.
    fs::remove_file(out.join("reports/ben/summary.json"))?;
    let graded = |name: &str| fs::metadata(results(&out, name)).and_then(|about| about.modified());
    let before = (graded("ada")?, graded("ben")?);
    assert!(grader(&batch)?.status.success());
    assert_eq!(graded("ada")?, before.0, "ada was graded twice");
    assert_ne!(graded("ben")?, before.1, "ben was not graded");

    fs::write(class.join("ada/new.txt"), "another submission")?;
    assert!(grader(&batch)?.status.success());
    assert_ne!(graded("ada")?, before.0, "ada's new submission was not graded");
    assert_eq!(fs::read_to_string(out.join("scores.csv"))?.lines().count(), 4);
    Ok(())
}
