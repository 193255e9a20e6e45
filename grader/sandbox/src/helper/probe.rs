//! Finds out by trying which layers of protection this machine offers.

use std::fs::File;
use std::io::{Read, Write};

use landlock::LandlockStatus;
use nix::sys::wait::waitpid;
use nix::unistd::pipe;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Report};
use super::unsafe_calls::fork_into;
use super::{confine, file_tree, namespaces, system_calls};

/// What was found: for each layer, what it gives, or why it is not there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub namespaces: Result<(), String>,
    /// The version of Landlock's rules.
    pub landlock: Result<u32, String>,
    pub seccomp: Result<(), String>,
}

/// Tries each layer in a process of its own, which then ends, and reports.
pub(super) fn probe(plan: &Plan, report: &Report) -> Result<(), String> {
    report.add(&Probe {
        namespaces: attempt(|| try_namespaces(plan)).map(drop),
        landlock: attempt(try_landlock),
        seccomp: attempt(|| system_calls::restrict().map(|()| 0)).map(drop),
    })
}

fn try_namespaces(plan: &Plan) -> Result<u32, String> {
    namespaces::enter()?;
    attempt(|| file_tree::build(&plan.policy, &plan.root).map(|()| 0))
}

fn try_landlock() -> Result<u32, String> {
    match confine::try_landlock()?.landlock {
        LandlockStatus::NotEnabled => Err("the kernel has Landlock, but it is not enabled (lsm=landlock,...)".into()),
        LandlockStatus::NotImplemented => Err("the kernel is built without Landlock (it came with Linux 5.13)".into()),
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as u32),
    }
}

/// Runs `what` in a new process, which it may spoil, and hands its answer on.
fn attempt(what: impl FnOnce() -> Result<u32, String>) -> Result<u32, String> {
    let (reader, writer) = pipe().map_err(|errno| format!("pipe: {errno}"))?;
    let mut writer = File::from(writer);
    let child = fork_into(|| {
        let answer = serde_json::to_vec(&what()).unwrap_or_default();
        i32::from(writer.write_all(&answer).is_err())
    })?;
    // Only the child must hold this end, or reading would never end.
    drop(writer);
    let mut answer = Vec::new();
    File::from(reader)
        .read_to_end(&mut answer)
        .map_err(|e| format!("reading the answer: {e}"))?;
    waitpid(child, None).map_err(|errno| format!("waiting: {errno}"))?;
    serde_json::from_slice(&answer).map_err(|_| "the attempt ended without an answer".to_owned())?
}
