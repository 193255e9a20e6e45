//! What is done before a program starts: the policy is looked at, and the scratch folder changes hands.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use walkdir::WalkDir;

use crate::policy::{Policy, SandboxError};

/// The policy with real paths for what is inside the scratch folder, if it can be carried out.
pub(crate) fn checked(program: &Path, policy: &Policy) -> Result<Policy, SandboxError> {
    let paths = policy
        .readable
        .iter()
        .chain(&policy.executable)
        .chain([&policy.writable]);
    if let Some(path) = paths.into_iter().find(|path| !path.is_absolute()) {
        return Err(SandboxError::Policy(format!(
            "the path {} of the policy must be absolute",
            path.display()
        )));
    }
    let writable = policy
        .writable
        .canonicalize()
        .map_err(SandboxError::io("opening the scratch folder"))?;
    if !writable.is_dir() {
        return Err(SandboxError::Policy(format!(
            "the scratch folder {} is not a folder",
            writable.display()
        )));
    }
    let allowed = |path: &Path| policy.executable.iter().any(|allowed| path.starts_with(allowed));
    if !allowed(program) && !program.canonicalize().is_ok_and(|real| allowed(&real)) {
        let what = format!(
            "{} is not below any of the executable paths of the policy",
            program.display()
        );
        return Err(SandboxError::Policy(what));
    }
    Ok(Policy {
        writable,
        ..policy.clone()
    })
}

/// A user for one run. Each run takes the next of 477 numbers that no Linux distribution gives to anyone, so that two
/// programs at the same time neither share their limits nor reach each other.
pub(crate) fn next_user() -> u32 {
    const FIRST: u32 = 60_706;
    const COUNT: u32 = 477;
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    FIRST + std::process::id().wrapping_mul(31).wrapping_add(run) % COUNT
}

/// Gives the folder and what is in it to the user, and closes it to others.
///
/// Files with a second name are left alone: the other name may be outside, and must not change hands.
pub(crate) fn give_to(folder: &Path, user: u32) -> Result<(), SandboxError> {
    let what = format!("giving {} to the sandbox's user", folder.display());
    for entry in WalkDir::new(folder).follow_links(false) {
        let entry = entry.map_err(std::io::Error::from).map_err(SandboxError::io(&what))?;
        let metadata = entry
            .metadata()
            .map_err(std::io::Error::from)
            .map_err(SandboxError::io(&what))?;
        if metadata.is_dir() || metadata.nlink() == 1 {
            lchown(entry.path(), Some(user), Some(user)).map_err(SandboxError::io(&what))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(SandboxError::io(what))
}
