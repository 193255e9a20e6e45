//! The commands, on submissions that need no compiler: is there always a result, and is nothing graded twice?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use grader::secret::{Owner, Secret};

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
    let (broken, out) = (folder.path().join("broken.zip"), folder.path().join("out"));
    fs::write(&broken, "no archive")?;
    let output = grader(&["grade", &text(&broken), "--out", &text(&out), "--no-images"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said(&output).contains(&format!("Grading with the workspace `{}`", root().display())),
        "{}",
        said(&output)
    );
    let results = read_results(&out)?;
    assert_eq!(results["score"].as_f64(), Some(0.0));
    assert!(results["score"].as_f64().is_some_and(f64::is_sign_positive), "-0.0");
    assert!(
        results["output"]
            .as_str()
            .is_some_and(|output| output.contains("neither a folder nor a zip archive")),
        "{results}"
    );
    for name in ["report.html", "junit.xml", "pictures.html"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    Ok(())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read_results(out: &Path) -> Result<serde_json::Value> {
    Ok(serde_json::from_slice(&fs::read(out.join("results.json"))?)?)
}

/// What a platform shows: a sentence, and no grade.
fn assert_no_grade(out: &Path, words: &str) -> Result<()> {
    let results = read_results(out)?;
    let output = results["output"].as_str().unwrap_or_default();
    assert!(output.starts_with("No grade") && output.contains(words), "{results}");
    assert_eq!(
        (results["score"].as_f64(), results["tests"].as_array().map(Vec::len)),
        (Some(0.0), Some(0))
    );
    Ok(())
}

#[test]
fn no_submission_and_wrong_flags_are_no_zero_points() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (missing, out) = (text(&folder.path().join("missing")), text(&folder.path().join("out")));
    let cases: [(&[&str], &str); 3] = [
        (&["grade", &missing, "--out", &out], "there is no submission at"),
        (&["grade", &missing, "--out", &out, "--tasks", "9"], "wrong flags"),
        (&["grade", &missing, "--frobnicate", "--out", &out], "wrong flags"),
    ];
    for (arguments, words) in cases {
        let output = grader(arguments)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert_no_grade(Path::new(&out), words)?;
        fs::remove_dir_all(&out)?;
    }
    Ok(())
}

/// A platform that stops the grader before its end shows why, and the machine is left as it was.
#[test]
fn a_grader_that_is_stopped_leaves_a_sentence_and_no_scratch_folders() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (submission, out, scratch) = (
        folder.path().join("submission"),
        folder.path().join("out"),
        folder.path().join("scratch"),
    );
    fs::create_dir(&scratch)?;
    let source = fs::read_to_string(root().join("tasks/task2_denoise/src/lib.rs"))?;
    let start = source.find("// BEGIN SOLUTION 2.1").context("a solution")?;
    let asleep =
        source[..start].to_owned() + "std::thread::sleep(std::time::Duration::from_secs(600));\n" + &source[start..];
    fs::create_dir_all(submission.join("task2_denoise/src"))?;
    fs::write(submission.join("task2_denoise/src/lib.rs"), asleep)?;
    // The reference is graded before; the submission that sleeps is what is stopped.
    let flags = ["--no-images", "--tasks", "2"];
    let grade = |submission: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
        command
            .arg("--root")
            .arg(root())
            .arg("grade")
            .arg(submission)
            .args(flags);
        command.arg("--out").arg(&out).env("TMPDIR", &scratch);
        command
    };
    assert!(grade(&root()).output()?.status.success());
    let child = grade(&submission)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    assert_no_grade_within(&out, "did not finish")?;
    let works = || {
        fs::read_dir(&scratch).map(|entries| {
            entries
                .flatten()
                .any(|entry| entry.path().join("worker-task2_denoise").is_file())
        })
    };
    let start = std::time::Instant::now();
    while !works()? {
        ensure!(start.elapsed().as_secs() < 300, "nothing is compiled");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    ensure!(
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()?
            .success()
    );
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    assert_no_grade(&out, "stopped by a signal (number 15)")?;
    assert_eq!(fs::read_dir(&scratch)?.count(), 0, "scratch folders stay");
    Ok(())
}

fn assert_no_grade_within(out: &Path, words: &str) -> Result<()> {
    let start = std::time::Instant::now();
    while assert_no_grade_there(out, words).is_err() {
        ensure!(
            start.elapsed().as_secs() < 60,
            "there is no result from the first second on"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

fn assert_no_grade_there(out: &Path, words: &str) -> Result<()> {
    ensure!(
        read_results(out)?["output"]
            .as_str()
            .is_some_and(|output| output.contains(words))
    );
    Ok(())
}

#[test]
fn a_failure_of_the_graders_own_has_a_result_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (out, empty) = (folder.path().join("out"), folder.path().join("empty"));
    fs::create_dir(&empty)?;
    let output = grader(&["grade", &text(&empty), "--out", &text(&out), "--hidden", &text(&empty)])?;
    assert_eq!(output.status.code(), Some(2));
    assert_no_grade(&out, "the grader itself failed")
}

/// From another machine, or with a lost secret, points would be others.
#[test]
fn a_folder_without_its_secret_or_with_other_images_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (hidden, empty, out) = (
        folder.path().join("hidden"),
        folder.path().join("empty"),
        folder.path().join("out"),
    );
    fs::create_dir(&empty)?;
    fs::create_dir(&hidden)?;
    for entry in fs::read_dir(root().join("grader/hidden"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "png") {
            fs::copy(&path, hidden.join(path.file_name().context("a name")?))?;
        }
    }
    let grade = || grader(&["grade", &text(&empty), "--out", &text(&out), "--hidden", &text(&hidden)]);
    assert_eq!(grade()?.status.code(), Some(2));
    assert_no_grade(&out, "lacks the file `secret`")?;
    Secret::drawn()?.write(&hidden, Owner::Course)?;
    let images: Vec<PathBuf> = fs::read_dir(&hidden)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some())
        .collect();
    fs::copy(&images[0], &images[1])?;
    assert_eq!(grade()?.status.code(), Some(2));
    assert_no_grade(&out, "measured on other hidden images")
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
    assert_eq!(table.lines().count(), 3, "{table}");

    // What an interruption leaves: no summary, and so no result that counts.
    fs::remove_file(out.join("reports/ben/summary.json"))?;
    let graded = |name: &str| fs::metadata(results(&out, name)).and_then(|about| about.modified());
    let before = (graded("ada")?, graded("ben")?);
    assert!(grader(&batch)?.status.success());
    assert_eq!(graded("ada")?, before.0, "ada was graded twice");
    assert_ne!(graded("ben")?, before.1, "ben was not graded");

    fs::write(class.join("ada/lib.rs"), "another submission")?;
    assert!(grader(&batch)?.status.success());
    assert_ne!(graded("ada")?, before.0, "ada's new submission was not graded");
    assert_eq!(fs::read_to_string(out.join("scores.csv"))?.lines().count(), 3);
    Ok(())
}
