//! Folders that come and go while a submission is graded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A new, empty folder of that name; what stood there is removed.
///
/// # Errors
///
/// If it cannot be made.
pub fn make(parent: &Path, name: &str) -> Result<PathBuf> {
    let folder = parent.join(name);
    if folder.symlink_metadata().is_ok() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    Ok(folder)
}

/// Lets everybody read and execute a program or enter a folder.
///
/// # Errors
///
/// If it is not there.
pub fn make_executable(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Lets everybody read a file.
///
/// # Errors
///
/// If it is not there.
pub fn make_public(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o644))?)
}
