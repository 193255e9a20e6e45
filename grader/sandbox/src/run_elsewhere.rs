//! Where the system is not Linux there is no sandbox, and nothing is run.

use crate::{Finished, Isolation, Policy, SandboxError};
use std::{ffi::OsString, path::Path};

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
