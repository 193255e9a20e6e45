//! Where the system is not Linux there is no sandbox, and nothing is run.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};

use crate::policy::{Finished, Isolation, Policy, SandboxError};

fn refused() -> SandboxError {
    SandboxError::Unavailable(format!("it runs {}, and the sandbox needs Linux", std::env::consts::OS))
}

/// Refuses: the protections are those of Linux.
///
/// # Errors
///
/// Always [`SandboxError::Unavailable`].
pub fn run(
    _program: &Path,
    _args: &[OsString],
    _stdin: &[u8],
    _policy: &Policy,
    _isolation: Isolation,
) -> Result<Finished, SandboxError> {
    Err(refused())
}

/// Refuses as [`run`] does.
///
/// # Errors
///
/// Always [`SandboxError::Unavailable`].
pub fn converse<T>(
    _program: &Path,
    _args: &[OsString],
    _policy: &Policy,
    _isolation: Isolation,
    _talk: impl FnOnce(ChildStdin, ChildStdout) -> T,
) -> Result<(Finished, T), SandboxError> {
    Err(refused())
}

/// Nothing runs that could be stopped.
pub fn stop_all() {}

/// Removes a folder with all that is in it; that there is none is fine.
///
/// # Errors
///
/// What the system says.
pub fn remove_tree(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
