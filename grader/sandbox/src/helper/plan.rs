//! The messages between the caller and its helper: a plan in one direction, a report in the other, both files in a
//! private folder.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::policy::{End, Layers, Policy};

const PLAN: &str = "plan.json";
const REPORT: &str = "report.jsonl";
const STOP: &str = "stop";

/// Asks the helper that was started on this folder to stop the program.
pub(crate) fn ask_to_stop(folder: &Path) {
    // Where it cannot be written, the helper notices that its caller ends.
    let _ = std::fs::write(folder.join(STOP), "");
}

/// What the helper shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Run the program.
    Run,
    /// Find out which layers this kernel offers.
    Probe,
}

/// All that the helper has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub task: Task,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub policy: Policy,
    pub layers: Layers,
    /// The user that the program runs as; `None`: the caller's own.
    pub user: Option<u32>,
    /// The caller. When it is gone the helper stops everything.
    pub caller: i32,
    /// An empty folder over which the new file tree is mounted.
    pub root: PathBuf,
}

impl Plan {
    /// Whether the caller wants the program stopped.
    pub fn is_to_stop(&self) -> bool {
        self.root.with_file_name(STOP).exists()
    }

    /// Leaves the plan in the folder, for the helper to read.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let text = serde_json::to_vec(self).map_err(|e| format!("a path of the policy is not valid UTF-8 ({e})"))?;
        std::fs::write(folder.join(PLAN), text).map_err(|e| format!("writing {PLAN}: {e}"))
    }

    pub fn read(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read(folder.join(PLAN)).map_err(|e| format!("reading {PLAN}: {e}"))?;
        serde_json::from_slice(&text).map_err(|e| format!("{PLAN}: {e}"))
    }
}

/// One line of the report. The first one counts: what comes later are consequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The program ran.
    Ended(End),
    /// A protection could not be put in place, or the program not be started.
    Failed(String),
}

/// The open report. Its file closes by itself when the untrusted program starts.
pub(crate) struct Report(File);

impl Report {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let open = OpenOptions::new().append(true).create(true).open(folder.join(REPORT));
        open.map(Report).map_err(|e| format!("opening {REPORT}: {e}"))
    }

    /// Adds one line, in one write, so that two processes cannot mix theirs.
    pub fn add(&self, line: &impl Serialize) -> Result<(), String> {
        let mut text = serde_json::to_vec(line).map_err(|e| e.to_string())?;
        text.push(b'\n');
        (&self.0).write_all(&text).map_err(|e| format!("writing {REPORT}: {e}"))
    }

    /// The first line that the helper wrote, if it wrote any.
    pub fn first<T: DeserializeOwned>(folder: &Path) -> Option<T> {
        let text = std::fs::read_to_string(folder.join(REPORT)).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    }
}
