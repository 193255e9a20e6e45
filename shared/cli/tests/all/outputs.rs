//! What is written, and where.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::probe::run;

/// One image and one operator; another may follow.
const ONE: [&str; 4] = ["--count", "1", "--operator", "inpainting"];

fn report(folder: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(
        folder.join("out/probe/results.json"),
    )?)?)
}

/// The methods of the report's rows, with the operator each was tried on.
fn rows(report: &Value) -> Vec<(&str, &str)> {
    let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter()
        .filter_map(|row| Some((row["case"].as_str()?, row["method"].as_str()?)))
        .collect()
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn two_operators_of_one_kind_have_settings_of_their_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = run(
        folder.path(),
        &[&ONE[..3], &["inpainting:0.5", "inpainting:0.9"]].concat(),
    )?;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let report = report(folder.path())?;
    for (operator, removed) in [("inpainting:0.5", "50.0 %"), ("inpainting:0.9", "90.0 %")] {
        let told = report["settings"][operator].as_str().unwrap_or_default();
        assert!(told.starts_with(removed), "{told}");
        assert!(rows(&report).contains(&(operator, "guess")));
    }
    let twice = run(folder.path(), &[&ONE[..], &["inpainting:0.7"]].concat())?;
    assert!(
        twice.status == 2 && twice.err.contains("names inpainting:0.7 twice"),
        "{}",
        twice.err
    );
    Ok(())
}

#[test]
fn a_report_says_prior_seed_and_time_and_over_how_many_images_a_mean_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = run(
        folder.path(),
        &[
            "--seed",
            "5",
            "--count",
            "3",
            "--noise",
            "none",
            "--operator",
            "inpainting:0",
        ],
    )?;
    assert!(
        ran.err.contains("warning: inpainting:0: all of an image is left"),
        "{}",
        ran.err
    );
    let report = report(folder.path())?;
    assert_eq!(
        (&report["settings"]["prior"], &report["settings"]["seed"]),
        (&"fruits64".into(), &"5".into())
    );
    let seconds = report["settings"]["seconds"].as_str().context("no seconds")?;
    assert!(seconds.parse::<f64>()? >= 0.0);
    // The images come back as they were.
    assert_eq!(
        (&report["means"][1]["psnr"], &report["means"][1]["count"]),
        (&"inf".into(), &3.into())
    );
    let line = ran.out.lines().find(|line| line.contains("guess")).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..4], ["inpainting:0", "guess", "3", "inf"]);
    Ok(())
}

#[test]
fn what_is_done_is_written_whatever_ends_the_run() -> Result<()> {
    for (trouble, status, said) in [
        ("nan", 2, "holds a NaN or an infinity"),
        ("error", 2, "error: something went wrong"),
        ("interrupt", 130, "interrupted"),
    ] {
        let folder = tempfile::tempdir()?;
        let flags = [&["--trouble", trouble], &ONE[..], &["deconvolution"]].concat();
        let ran = run(folder.path(), &flags)?;
        assert_eq!(ran.status, status, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(
            ran.out.contains("inpainting:0.7        guess"),
            "{trouble}: {}",
            ran.out
        );
        let report = report(folder.path())?;
        assert!(rows(&report).contains(&("inpainting:0.7", "guess")), "{trouble}");
        assert!(
            folder.path().join("out/probe/reconstructions.png").is_file(),
            "{trouble}"
        );
    }
    Ok(())
}

/// A folder in the way of the figure, as a full disk would be: the report is there before.
#[test]
fn the_report_is_written_before_the_figures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let figure = folder.path().join("out/probe/reconstructions.png");
    fs::create_dir_all(&figure)?;
    let ran = run(folder.path(), &ONE)?;
    assert!(
        ran.status == 2 && ran.err.contains("reconstructions.png"),
        "{}",
        ran.err
    );
    assert!(rows(&report(folder.path())?).contains(&("inpainting:0.7", "guess")));
    // Nothing half-written is left.
    assert_eq!(
        names(&folder.path().join("out/probe"))?,
        ["reconstructions.png", "results.json"]
    );
    Ok(())
}

#[test]
fn a_dash_is_standard_output_and_the_table_makes_room() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = run(folder.path(), &[&["--json", "-"], &ONE[..]].concat())?;
    assert_eq!(ran.status, 0, "{}", ran.err);
    // Around it is what the test program says.
    let json = ran.out.split_once('{').zip(ran.out.rsplit_once('}'));
    let ((before, _), (_, after)) = json.context("no JSON")?;
    let json: Value = serde_json::from_str(&ran.out[before.len()..ran.out.len() - after.len()])?;
    assert!(rows(&json).contains(&("inpainting:0.7", "guess")));
    assert!(
        ran.err.contains("PSNR/dB") && !ran.out.contains("PSNR/dB"),
        "{}",
        ran.out
    );
    assert!(!folder.path().join("-").exists());
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_a_device_stays_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink("report.json", &link)?;
    let ran = run(folder.path(), &[&["--json", "link.json"], &ONE[..]].concat())?;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(link.is_symlink() && folder.path().join("report.json").is_file());

    let null = folder.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &null)?;
    let ran = run(folder.path(), &[&["--json", "null"], &ONE[..]].concat())?;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(null.is_symlink() && !fs::metadata("/dev/null")?.is_file());
    Ok(())
}
