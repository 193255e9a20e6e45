//! The helper program: which it is, how it is started, and the plan that it is given.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::helper::plan::{Plan, Task};
use crate::policy::{Layers, Limits, Policy, SandboxError};

static HELPER: OnceLock<(PathBuf, Vec<OsString>)> = OnceLock::new();

/// Says which program, with which first arguments, calls [`crate::helper_main`] with the folder that comes as its last
/// argument. The first call counts.
///
/// Without it, `sandbox-exec` is looked for in the folder of the running program and in the one above.
pub fn use_helper(program: PathBuf, first_args: Vec<OsString>) {
    let _ = HELPER.set((program, first_args));
}

fn find_helper() -> Result<(PathBuf, Vec<OsString>), SandboxError> {
    if let Some(helper) = HELPER.get() {
        return Ok(helper.clone());
    }
    let here = std::env::current_exe().map_err(SandboxError::io("finding the running program"))?;
    let places = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("sandbox-exec"));
    let found = places.into_iter().find(|path| path.is_file());
    found.map(|path| (path, vec![])).ok_or_else(|| {
        SandboxError::Helper(format!(
            "there is no sandbox-exec beside {}; build it with `cargo build`",
            here.display()
        ))
    })
}

/// Starts the helper on a folder that holds a plan.
pub(crate) fn start_helper(folder: &Path) -> Result<Child, SandboxError> {
    let (program, first_args) = find_helper()?;
    let mut command = Command::new(&program);
    command.args(first_args).arg(folder).env_clear().current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|e| SandboxError::Helper(format!("{}: {e}", program.display())))
}

/// A plan that asks for nothing.
pub(crate) fn empty_plan(folder: &Path) -> Result<Plan, SandboxError> {
    let root = folder.join("root");
    fs::create_dir(&root).map_err(SandboxError::io("making a folder for the new root"))?;
    let limits = Limits {
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        memory_bytes: 0,
        processes: 0,
        output_bytes: 0,
        disk_bytes: 0,
    };
    let policy = Policy {
        readable: vec![],
        executable: vec![],
        writable: folder.into(),
        limits,
        environment: vec![],
    };
    let layers = Layers {
        namespaces: false,
        landlock: false,
        seccomp: false,
        other_user: false,
        limits: false,
    };
    let caller = std::process::id().cast_signed();
    Ok(Plan {
        task: Task::Run,
        program: PathBuf::new(),
        args: vec![],
        policy,
        layers,
        user: None,
        caller,
        root,
    })
}
