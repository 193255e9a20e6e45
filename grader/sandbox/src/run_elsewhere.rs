//! Where the system is not Linux there is no sandbox, and nothing is run.

use std::ffi::OsString;
use std::path::Path;

use crate::policy::{Finished, Isolation, Policy, SandboxError};

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
    Err(SandboxError::Unavailable(format!(
        "it runs {}, and the sandbox needs Linux",
        std::env::consts::OS
    )))
}
