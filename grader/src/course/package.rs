//! Packs the autograder for Gradescope, and writes a workflow for GitHub Classroom.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::course::tree::graders_files;
use crate::report::write_file;
use crate::secret;

/// Runs once, when the platform builds its container, with network.
const SETUP: &str = r#"#!/usr/bin/env bash
# Installs Rust and builds the autograder and all that submissions stand on. Grading itself needs no network.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends build-essential ca-certificates curl
export RUSTUP_HOME=/opt/rust/rustup CARGO_HOME=/opt/rust/cargo PATH="/opt/rust/cargo/bin:$PATH"
if ! command -v cargo >/dev/null; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path
fi
cd /autograder/source
# The course's secret is nobody's but the grader's.
[ ! -e grader/hidden/secret ] || chmod 600 grader/hidden/secret
cargo build --locked -p grader
# Another user, without rights, compiles and runs the submissions.
chmod -R a+rX /opt/rust target
"#;

/// Runs for each submission.
const RUN: &str = r#"#!/usr/bin/env bash
# Grades one submission. GRADER_FLAGS may hold --unsafe, for platforms whose containers forbid isolation.
export RUSTUP_HOME=/opt/rust/rustup CARGO_HOME=/opt/rust/cargo PATH="/opt/rust/cargo/bin:$PATH"
cd /autograder/source
# Whatever happens to the grader, the platform shows a sentence.
echo '{"score": 0, "output": "No grade: the points shown here are none. The grader did not start."}' \
    > /autograder/results/results.json
# The platform's own number of the student decides, with the course's secret, on the random inputs. GRADER_FLAGS may
# hold --late-percent and --visibility as well.
metadata=/autograder/submission_metadata.json
[ -e "$metadata" ] || metadata=""
target/debug/grader grade /autograder/submission --out /autograder/results ${metadata:+--metadata "$metadata"} \
    ${GRADER_FLAGS:-}
"#;

/// For the students' repositories: the public tests at every push. Hidden images must not be there.
const WORKFLOW: &str = r#"name: check
on: [push]
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/cache@v4
        with:
          path: |
            ~/.cargo/registry
            target
          key: cargo-${{ hashFiles('Cargo.lock') }}
      - run: cargo run --locked -p check -- --out check-out
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: check
          path: check-out
"#;

/// Where the container's build takes the libraries from that the grader stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libraries {
    /// From the registry, as any build does.
    FromRegistry,
    /// From the archive itself (`cargo vendor`), so that the build needs no registry.
    Vendored,
}

/// Writes the archive, and beside it the workflow `classroom.yml`. The same tree gives the same bytes.
///
/// # Errors
///
/// If files cannot be read or written, or cargo fails.
pub fn package(root: &Path, out: &Path, libraries: Libraries) -> Result<usize> {
    let mut packed: Vec<(String, Vec<u8>, bool)> = vec![
        ("run_autograder".into(), RUN.into(), true),
        ("setup.sh".into(), SETUP.into(), true),
    ];
    // One that cannot be used is told here, and not by the platform.
    secret::Secret::read(&root.join("grader/hidden"))?;
    for path in graders_files(root)? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read `{path}`"))?;
        packed.push((path, bytes, false));
    }
    if libraries == Libraries::Vendored {
        add_vendored(root, &mut packed)?;
    }
    packed.sort();
    write_file(out, &archive(&packed)?)?;
    // Beside a device or a pipe there is no place for it.
    if !files::is_stream(out) {
        write_file(&out.with_file_name("classroom.yml"), WORKFLOW.as_bytes())?;
    }
    Ok(packed.len())
}

/// No times, no owners, sorted: nothing that differs from one run to the next.
fn archive(files: &[(String, Vec<u8>, bool)]) -> Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes, executable) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode(path, *executable));
        writer.start_file(path.as_str(), options)?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn mode(path: &str, executable: bool) -> u32 {
    match path.ends_with(&format!("hidden/{}", secret::FILE)) {
        true => 0o600,
        false if executable => 0o755,
        false => 0o644,
    }
}

fn add_vendored(root: &Path, files: &mut Vec<(String, Vec<u8>, bool)>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["vendor", "--locked", "--versioned-dirs"])
        .arg(folder.path().join("vendor"))
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo vendor failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for entry in WalkDir::new(folder.path()) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry
                .path()
                .strip_prefix(folder.path())?
                .to_string_lossy()
                .replace('\\', "/");
            files.push((path, fs::read(entry.path())?, false));
        }
    }
    let config = "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"vendor\"\n";
    files.push((".cargo/config.toml".into(), config.into(), false));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() -> Result<()> {
        let files = vec![
            ("a/b.rs".to_owned(), b"fn main() {}".to_vec(), false),
            ("run".to_owned(), b"x".to_vec(), true),
        ];
        let (one, other) = (archive(&files)?, archive(&files)?);
        assert_eq!(one, other);
        let mut read = zip::ZipArchive::new(Cursor::new(one))?;
        assert_eq!(
            (read.len(), read.by_name("run")?.unix_mode().map(|mode| mode & 0o777)),
            (2, Some(0o755))
        );
        Ok(())
    }
}
