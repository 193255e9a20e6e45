//! Programs of tasks that are stopped: what they had done by then is written.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::root;

/// The folder with the programs of the tasks, which are built if need be.
fn programs() -> Result<PathBuf> {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(&manifest).no_deps().exec()?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bins"])
        .args(["-p", "task2_denoise", "-p", "task3_generate", "-p", "task4_sdedit"])
        .arg("--manifest-path")
        .arg(&manifest)
        .status()?;
    ensure!(built.success(), "the programs of the tasks do not build");
    Ok(metadata.target_directory.into_std_path_buf().join("debug"))
}

/// Each runs for some seconds, says when a tenth of it is done, and has something to show by then.
#[cfg(unix)]
#[test]
fn what_was_done_before_an_interruption_is_written() -> Result<()> {
    let programs = programs()?;
    let times: Vec<String> = (1..=25).map(|t| t.to_string()).collect();
    let cases: [(&str, &[&str], &str); 3] = [
        (
            "task2_denoise",
            &["--batch", "1", "--t", &times.join(",")],
            "denoising.png",
        ),
        (
            "task3_generate",
            &["--batch", "1", "--count", "60", "--steps", "5"],
            "samples.png",
        ),
        (
            "task4_sdedit",
            &["--guide", "--t0", "5,999", "--steps", "60"],
            "edits.png",
        ),
    ];
    for (program, flags, figure) in cases {
        let out = tempfile::tempdir()?;
        let mut child = Command::new(programs.join(program))
            .args(flags)
            .args(["--threads", "1", "--out"])
            .arg(out.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let tenth = said
            .by_ref()
            .flatten()
            .find(|line| line.contains(" of ") && line.contains("/s"));
        assert!(tenth.is_some(), "{program} ended early");
        ensure!(
            Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status()?
                .success()
        );
        let rest: Vec<String> = said.map_while(Result::ok).collect();
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(130), "{program}: {rest:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("mean of"),
            "{program} prints no table"
        );
        let report: serde_json::Value = serde_json::from_slice(&fs::read(out.path().join("results.json"))?)?;
        assert!(
            report["rows"].as_array().is_some_and(|rows| !rows.is_empty()),
            "{program}"
        );
        assert_eq!(
            (&report["settings"]["prior"], &report["settings"]["seed"]),
            (&"fruits64".into(), &"0".into())
        );
        assert!(out.path().join(figure).is_file(), "{program}: {rest:?}");
    }
    Ok(())
}
