//! The smallest container of a platform, as far as this machine has one to give: the reference solution earns all its
//! points in half a processor and 768 MB.
//!
//! ```text
//! cargo test -p grader --test dear container -- --ignored --nocapture
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use grader::{GradeOptions, Grader};

use crate::{root, use_helper};

const MEMORY: u64 = 768 << 20;
/// Microseconds of processor time in each so many.
const SHARE: [u32; 2] = [50_000, 100_000];

/// A group of processes with little memory and processor time, in the first or second version of Linux' control groups.
struct Container {
    /// Where a process enters it, and what is removed at the end.
    folders: Vec<PathBuf>,
    /// Which tells the most memory that was used.
    peak: PathBuf,
}

impl Container {
    /// None where this machine gives no such groups.
    fn make() -> Option<Self> {
        let top = Path::new("/sys/fs/cgroup");
        let name = format!("grader-{}", std::process::id());
        if top.join("cgroup.controllers").is_file() {
            Self::second_version(&top.join(name))
        } else {
            Self::first_version(top, &name)
        }
    }

    fn second_version(folder: &Path) -> Option<Self> {
        let container = Self {
            folders: vec![folder.to_owned()],
            peak: folder.join("memory.peak"),
        };
        fs::create_dir(folder).ok()?;
        fs::write(folder.join("memory.max"), MEMORY.to_string()).ok()?;
        fs::write(folder.join("cpu.max"), format!("{} {}", SHARE[0], SHARE[1])).ok()?;
        Some(container)
    }

    fn first_version(top: &Path, name: &str) -> Option<Self> {
        let (memory, processor) = (top.join("memory").join(name), top.join("cpu").join(name));
        let container = Self {
            folders: vec![memory.clone(), processor.clone()],
            peak: memory.join("memory.max_usage_in_bytes"),
        };
        fs::create_dir(&memory).ok()?;
        fs::create_dir(&processor).ok()?;
        fs::write(memory.join("memory.limit_in_bytes"), MEMORY.to_string()).ok()?;
        fs::write(processor.join("cpu.cfs_period_us"), SHARE[1].to_string()).ok()?;
        fs::write(processor.join("cpu.cfs_quota_us"), SHARE[0].to_string()).ok()?;
        Some(container)
    }

    /// A command that enters it, and becomes `program`.
    fn command(&self, program: &str) -> Command {
        let enter: String = self
            .folders
            .iter()
            .map(|folder| format!("echo $$ > '{}/cgroup.procs' && ", folder.display()))
            .collect();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{enter} exec \"$0\" \"$@\""), program]);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[test]
#[ignore = "grades all tasks on half a processor, for minutes"]
fn the_reference_earns_everything_in_the_smallest_container() -> Result<()> {
    use_helper();
    let Some(container) = Container::make() else {
        println!("this machine gives no control groups: nothing was tried");
        return Ok(());
    };
    // What is built once on a machine is built outside.
    Grader::new(GradeOptions::new(&root()))?;
    let out = tempfile::tempdir()?;
    let clock = Instant::now();
    let graded = container
        .command(env!("CARGO_BIN_EXE_grader"))
        .arg("grade")
        .arg(root())
        .arg("--out")
        .arg(out.path())
        .output()?;
    let text = String::from_utf8_lossy(&graded.stdout).into_owned() + &String::from_utf8_lossy(&graded.stderr);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(out.path().join("results.json"))?)
        .with_context(|| format!("no result: {text}"))?;
    let peak: u64 = fs::read_to_string(&container.peak)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default();
    println!(
        "{} points in {:.0} s, {} MiB at the peak, with what the system keeps of files",
        json["score"],
        clock.elapsed().as_secs_f64(),
        peak >> 20
    );
    ensure!(json["score"] == 100.0, "{text}");
    Ok(())
}
