//! What all programs of the workspace have in common.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, TargetKind};
use walkdir::WalkDir;

use crate::root;

/// Started by programs, with what they need on standard error; nobody runs them by hand.
const INNER: [&str; 3] = ["sandbox", "exchange", "worker"];
/// Print to a notebook, and the one line that warns of a wrong setting below all else.
const APART: [&str; 2] = ["notebook", "kernels"];

fn packages() -> Result<Vec<cargo_metadata::Package>> {
    let manifest = root().join("Cargo.toml");
    Ok(MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()?
        .packages)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let files = WalkDir::new(folder)
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path);
    files
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

#[test]
fn every_program_tells_its_version() -> Result<()> {
    let mut programs = 0;
    for package in packages()? {
        if INNER.contains(&package.name.as_str()) {
            continue;
        }
        for target in package
            .targets
            .iter()
            .filter(|target| target.kind.contains(&TargetKind::Bin))
        {
            let main = target.src_path.as_std_path();
            // Options may have a file of their own beside it.
            let folder = main.parent().context("a file lies in a folder")?;
            let texts = sources(folder)
                .into_iter()
                .filter(|path| path == main || !folder.ends_with("bin"));
            let has_version = texts
                .map(fs::read_to_string)
                .collect::<Result<Vec<_>, _>>()?
                .iter()
                .any(|text| text.contains("command(version"));
            assert!(
                has_version,
                "{} takes no --version: add `#[command(version)]` to its options",
                target.name
            );
            programs += 1;
        }
    }
    assert!(programs > 10, "{programs}");
    Ok(())
}

/// `println!` panics where nobody can read it, and would end the work of hours.
#[test]
fn nothing_is_printed_but_by_the_crate_program() -> Result<()> {
    let mut read = 0;
    for package in packages()? {
        let name = package.name.as_str();
        if INNER.contains(&name) || APART.contains(&name) || ["program", "checks", "testing"].contains(&name) {
            continue;
        }
        let folder = package
            .manifest_path
            .parent()
            .context("a file lies in a folder")?
            .join("src");
        for path in sources(folder.as_std_path()) {
            let text = fs::read_to_string(&path)?;
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            for (number, line) in code.enumerate() {
                let prints = ["print!(", "println!("].iter().any(|word| line.contains(word));
                assert!(
                    !prints,
                    "{}:{} prints by itself: use program::print, or program::say for standard error",
                    path.display(),
                    number + 1
                );
            }
            read += 1;
        }
    }
    assert!(read > 100, "{read}");
    Ok(())
}

/// Whatever becomes of what it prints, its files are written.
#[test]
fn a_grading_is_kept_where_nothing_can_be_printed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let broken = folder.path().join("broken.zip");
    fs::write(&broken, "no archive")?;
    let grader = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
        command.arg("--root").arg(root()).arg("grade").arg(&broken);
        command
            .arg("--out")
            .arg(folder.path().join(out))
            .arg("--no-images")
            .stderr(Stdio::piped());
        command
    };
    let mut child = grader("closed").stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("closed/results.json").is_file());

    if Path::new("/dev/full").exists() {
        let full = OpenOptions::new().write(true).open("/dev/full")?;
        let output = grader("full").stdout(full).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(folder.path().join("full/results.json").is_file());
    }
    Ok(())
}

#[test]
fn reports_do_not_go_among_the_submissions() -> Result<()> {
    let class = tempfile::tempdir()?;
    fs::write(class.path().join("ada.zip"), "no archive")?;
    let output = Command::new(env!("CARGO_BIN_EXE_grader"))
        .arg("--root")
        .arg(root())
        .arg("batch")
        .arg(class.path())
        .arg("--out")
        .arg(class.path().join("out"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("lies among the submissions"),
        "{said}"
    );
    Ok(())
}
